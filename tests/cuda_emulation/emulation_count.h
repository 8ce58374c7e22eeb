/* What a test of the emulated device may ask beside the calls of CUDA. */
#ifndef EMULATION_COUNT_H
#define EMULATION_COUNT_H

#ifdef __cplusplus
extern "C" {
#endif

/* The kernels, calls of libraries, copies and fills that the streams have got so far, those of replayed graphs included. */
long emulation_count(void);

/* From now on work is counted and forgotten instead of done: for a test that reads no result. */
void emulation_only_count(void);

#ifdef __cplusplus
}
#endif

#endif
