/* The three standard streams. They are open from the start, and the first print that fails leaves its cause. */
#ifndef UTIL_STREAMS_H
#define UTIL_STREAMS_H

#include <stdbool.h>
#include <stdio.h>

/* Opens /dev/null in the place of each of the descriptors 0, 1 and 2 that the process was started without. Otherwise
 * the first file that the program opens would get the number 1, and all output would go into that file. The first call
 * of main; ends the process with STATUS_RUNTIME where /dev/null cannot be opened. */
void streams_open_missing(void);

/* From now on a print into a pipe without a reader fails, and the process lives on. The programs that this process
 * starts are not affected. Where the process was started with SIGPIPE ignored, nothing changes. */
void streams_outlive_readers(void);

/* Flushes the stream that the program prints to, and notes why it failed when it fails for the first time. All prints
 * end with this call: at the next one errno may belong to something else. Returns false where anything that was printed
 * so far is lost. */
bool streams_flush(FILE *out);

/* The errno of the first print that failed; 0 where every print succeeded, or where the cause is not known. */
int streams_error(void);

/* True where the reader of the output is gone, as in `trainer CONFIG | head`. */
bool streams_reader_is_gone(void);

#endif
