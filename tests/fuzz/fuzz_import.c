/* Weights of another program, with any names: the input names the tensors of a small network in a safetensors file. A
 * file whose names fit gives a tensor to each of the network's, and can be loaded but for its dtypes. */
#include <stdlib.h>
#include <string.h>

#include "build/build.h"
#include "fuzz.h"
#include "nn/network.h"
#include "train/import_names.h"
#include "train/checkpoint.h"
#include "util/check.h"
#include "util/memory.h"

static const char config[] = "[data]\ndataset = synthetic\nsynthetic_train = 4\nsynthetic_test = 2\n"
                             "synthetic_classes = 2\nsynthetic_size = 2\nsynthetic_channels = 1\n"
                             "[model]\nhidden = 3\nbatchnorm = custom\n"
                             "[train]\nbatch_size = 2\n[backend]\ndevice = cpu\ncpu_isa = portable\nthreads = 1\n";

static struct session {
    struct experiment experiment;
    struct dataset dataset;
    struct backend *backend;
    struct trainer trainer;
    bool is_open;
} session;

static void open_session(void)
{
    struct status status;
    CHECK(experiment_load_text(&session.experiment, "fuzz.ini", config, NULL, 0, &status));
    CHECK(backend_from_experiment(&session.backend, &session.experiment, &status));
    CHECK(dataset_from_experiment(&session.dataset, &session.experiment, NULL, &status));
    CHECK(trainer_create(&session.trainer, &session.experiment, &session.dataset, session.backend, NULL, &status));
    session.is_open = true;
}

static void use(struct safetensors_file *file)
{
    struct import_names names;
    struct status status;
    if (import_names_match(&names, file, session.trainer.network, NULL, NULL, &status)) {
        CHECK(safetensors_find(file, "layers.0.weight") && safetensors_find(file, "layers.3.bias"));
        for (int i = 0; i < names.note_count; i++) CHECK(*names.notes[i]);
        if (!checkpoint_load_weights(file, session.trainer.network, NULL, &status))
            fuzz_check_refusal(&status, STATUS_RUNTIME);
    } else {
        fuzz_check_refusal(&status, STATUS_RUNTIME);
    }
    safetensors_free(file);
    import_names_free(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors_file file;
    struct status status;
    if (size > 1 << 16) return -1;
    if (!session.is_open) open_session();
    uint8_t *bytes = memory_alloc(size + 1, 1);
    if (size > 0) memcpy(bytes, data, size);
    if (safetensors_parse(&file, "fuzz.safetensors", bytes, size, SAFETENSORS_DIGEST_OPTIONAL, &status))
        use(&file);
    else
        fuzz_check_refusal(&status, STATUS_RUNTIME);
    return 0;
}
