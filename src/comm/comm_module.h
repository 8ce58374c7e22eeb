/* What the module of a transport exports, which is opened only where a launcher has started the program. */
#ifndef COMM_MODULE_H
#define COMM_MODULE_H

#include "comm/comm.h"

#define COMM_MODULE_FILE "trainer_mpi.so"
#define COMM_MODULE_SYMBOL "trainer_comm_open"
#define COMM_MODULE_NAME_SYMBOL "trainer_comm_name"

/* Starts the transport and fills in everything but the timeout. False with a line in `error` where it does not start, or where the
 * program is another one than that which the module was built with: version is TRAINER_VERSION, comm_bytes the size of
 * its struct comm. */
typedef bool comm_module_open(struct comm *comm, const char *version, size_t comm_bytes, char *error, size_t size);

/* Writes the transport's name (struct comm), without starting it. */
typedef void comm_module_name(char name[COMM_NAME]);

#endif
