/* What a test of the emulated device, or a library's stand-in, may ask beside the calls of CUDA. */
#ifndef EMULATION_COUNT_H
#define EMULATION_COUNT_H

#include <stdbool.h>

struct emulated_stream; /* to which a cudaStream_t points */

#ifdef __cplusplus
extern "C" {
#endif

/* The kernels, calls of libraries, copies and fills that the streams have got so far, those of replayed graphs included. */
long emulation_count(void);

/* From now on work is counted and forgotten instead of done: for a test that reads no result. */
void emulation_only_count(void);

/* Puts a place on the stream past which it goes once passes(argument) is true: a library's messages to other processes. It is
 * asked again and again where the host waits for the stream, and once where the host only asks how far it is. */
void emulation_hold(struct emulated_stream *stream, bool (*passes)(void *), void *argument);

#ifdef __cplusplus
}
#endif

#endif
