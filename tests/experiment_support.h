/* Experiments and networks for tests, from the text of a config. Include after criterion. */
#ifndef TESTS_EXPERIMENT_SUPPORT_H
#define TESTS_EXPERIMENT_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <criterion/criterion.h>

#include "build/build.h"
#include "support.h"
#include "util/memory.h"

/* Loads the text as if it were the file test.ini of an empty folder. */
static inline void experiment_from(struct experiment *experiment, const char *text)
{
    struct status status = {0};
    char *folder = support_folder(), *path = support_path(folder, "test.ini");
    support_file_write(path, text, strlen(text));
    bool loaded = experiment_load(experiment, path, NULL, 0, &status);
    cr_assert(loaded, "%s", status.message);
    free(path);
    support_folder_remove(folder);
}

/* Creates the network of the experiment for a batch of images (N,C,H,W), or returns NULL with the reason in status. */
static inline struct network *network_from(const struct experiment *experiment, struct backend *backend,
                                           struct shape images, int64_t classes, struct status *status)
{
    struct dataset_description format = {images.c, images.h, images.w, classes};
    struct network *network;
    network_from_experiment(&network, experiment, format, backend, images.n, status);
    return network;
}

/* Creates a CPU backend with the best instruction set. Tests of formulas use fp64, others fp32, as users do. */
static inline struct backend *backend_of(enum precision precision, int threads)
{
    struct backend_options options = {.device = DEVICE_CPU, .precision = precision, .threads = threads};
    struct status status = {0};
    struct backend *backend;
    bool created = backend_create(&backend, &options, &status);
    cr_assert(created, "%s", status.message);
    return backend;
}

#endif
