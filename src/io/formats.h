/* The file formats that the program can do without, because a library of others reads or writes them
 * (cmake/TrainerFormats.cmake). */
#ifndef IO_FORMATS_H
#define IO_FORMATS_H

#include <stdbool.h>

struct io_format {
    const char *name, *use;
    const char *packages; /* Debian's packages to build it in */
    bool built;
};

/* Ended by a row without a name. */
extern const struct io_format io_formats[];

#endif
