/* A checkpoint, with a right digest where it has room for one: its texts, its description of images, and its tensors,
 * which the network and the training session of a small experiment take over. */
#include <stdlib.h>
#include <string.h>

#include "build/build.h"
#include "fuzz.h"
#include "fuzz_sign.h"
#include "train/checkpoint.h"
#include "util/memory.h"

static const char config[] = "[data]\ndataset = synthetic\nsynthetic_train = 4\nsynthetic_test = 2\n"
                             "synthetic_classes = 2\nsynthetic_size = 2\nsynthetic_channels = 1\n"
                             "[model]\nhidden = 3\nbatchnorm = custom\n[optimizer]\nname = adam\n"
                             "[train]\nbatch_size = 2\n[backend]\ndevice = cpu\ncpu_isa = portable\nthreads = 1\n";

static struct session {
    struct experiment experiment;
    struct dataset dataset;
    struct backend *backend;
    struct trainer trainer;
    struct fuzz_file file;
} session;

static void open_session(void)
{
    struct status status;
    fuzz_file_create(&session.file);
    CHECK(experiment_load_text(&session.experiment, "fuzz.ini", config, NULL, 0, &status));
    CHECK(backend_from_experiment(&session.backend, &session.experiment, &status));
    CHECK(dataset_from_experiment(&session.dataset, &session.experiment, NULL, &status));
    CHECK(trainer_create(&session.trainer, &session.experiment, &session.dataset, session.backend, NULL, &status));
}

static void use(const struct checkpoint *checkpoint)
{
    struct experiment experiment;
    struct checkpoint_input input;
    struct status status;
    CHECK(checkpoint->step >= 0 && checkpoint->row_count >= 0);
    if (checkpoint_experiment(checkpoint, NULL, 0, &experiment, &status))
        experiment_free(&experiment);
    else
        fuzz_check_refusal(&status, STATUS_USAGE);
    if (checkpoint_input_read(&input, &checkpoint->file, &status)) {
        CHECK(input.channels >= 1 && input.height >= 1 && input.width >= 1 && input.classes >= 2);
        for (int64_t i = 0; input.class_names && i < input.classes; i++) fuzz_check_name(input.class_names[i]);
        checkpoint_input_free(&input);
    } else {
        fuzz_check_refusal(&status, STATUS_RUNTIME);
    }
    if (!checkpoint_load_weights(&checkpoint->file, session.trainer.network, NULL, &status))
        fuzz_check_refusal(&status, STATUS_RUNTIME);
    if (!checkpoint_restore(checkpoint, &session.trainer, &status)) fuzz_check_refusal(&status, STATUS_RUNTIME);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[1 << 16];
    struct checkpoint checkpoint;
    struct status status;
    if (size > sizeof bytes) return -1;
    if (!*session.file.path) open_session();
    if (size > 0) memcpy(bytes, data, size);
    fuzz_sign(bytes, size);
    fuzz_file_set(&session.file, bytes, size);
    if (checkpoint_read(&checkpoint, session.file.path, &status)) {
        use(&checkpoint);
        checkpoint_free(&checkpoint);
    } else {
        fuzz_check_refusal(&status, STATUS_RUNTIME);
    }
    return 0;
}
