/* Tests that a run that was broken off anywhere ends as if it had run through. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>

#include "run_support.h"

#include "build/build.h"
#include "train/run_folder.h"

TestSuite(resume, .init = enter_without_gnuplot, .fini = leave_folder);

/* The run has 30 steps, 3 an epoch, and every kind of state: running statistics, dropout, moments, a moving average,
 * augmentation, a schedule. */
#define DATA                                                                                                           \
    "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\nsynthetic_classes = 5\n"                  \
    "synthetic_size = 7\nnormalization = channel\n"                                                                    \
    "[train]\nmax_steps = 30\nbatch_size = 16\neval_freq = 4\nema_decay = 0.9\n"                                       \
    "clip_norm = 2\n[augment]\nflip = true\ncrop = 1\nrotate = 30\nerase = 0.3\nmixup = 0.5\n[backend]\ndevice = cpu\n"
#define MODEL "[model]\nkind = convnet\nfeatures = 6, M\nbatchnorm = custom\ndropout = 0.1\n"
#define EVERY_STEP "[checkpoint]\nfreq = 1\nkeep = 100\n"
static const char adam[] = DATA MODEL EVERY_STEP "[optimizer]\nname = adam\nlearning_rate = 3e-3\n"
                                                 "[schedule]\nname = cosine\nwarmup_steps = 5\n";
static const char lion[] = DATA MODEL EVERY_STEP "[optimizer]\nname = lion\nlearning_rate = 1e-3\n";
static const char muon[] = DATA MODEL EVERY_STEP "[optimizer]\nname = muon\nlearning_rate = 3e-3\n";
static const char sgd[] = DATA MODEL EVERY_STEP "[optimizer]\nlearning_rate = 0.05\nmomentum = 0.9\n";

static const char residual[] =
    DATA "[model]\nkind = convnet\nfeatures = 5, (5, 5)+, (8s2, 8)+ x2, G\n"
         "batchnorm = custom\nconv_bias = auto\n" EVERY_STEP "[optimizer]\nlearning_rate = 0.05\nmomentum = 0.9\n";

static char *step_path(const char *folder, int step)
{
    return memory_format("%s/checkpoints/step_%08d.safetensors", folder, step);
}

/* Makes a folder as it is when the run `whole` is killed some time after it saved `step`. It has rows beyond the
 * checkpoint's; the last one is cut off, except after step 30, whose row it is. */
static void break_off(const char *whole, const char *broken, int step)
{
    char *from = step_path(whole, step), *to = step_path(broken, step);
    char *checkpoints = support_path(broken, "checkpoints"), *metrics = support_path(broken, "metrics.csv");
    char *whole_metrics = support_path(whole, "metrics.csv"), *text = support_file_read(whole_metrics, NULL);
    cr_assert(mkdir(broken, 0777) == 0 && mkdir(checkpoints, 0777) == 0);
    file_copy(from, to);
    support_file_write(metrics, text, strlen(text) - (step < 30 ? 5 : 0));
    free(from), free(to), free(checkpoints), free(metrics), free(whole_metrics), free(text);
}

static void expect_same_end(const char *whole, const char *broken, const char *what)
{
    cr_expect(same_metrics(whole, broken), "%s: metrics.csv", what);
    cr_expect(same_checkpoints(whole, broken, "step_00000030.safetensors"), "%s: last checkpoint", what);
    char *a = support_path(whole, "resolved.ini"), *b = support_path(broken, "resolved.ini");
    cr_expect(same_files(a, b), "%s: resolved.ini", what);
    free(a), free(b);
}

static void expect_same_from_every_step(const char *text)
{
    run_good(text, "whole", TRAIN_NEW);
    for (int step = 1; step <= 30; step++) {
        char *broken = memory_format("broken%d", step);
        break_off("whole", broken, step);
        run_good(text, broken, TRAIN_RESUME);
        expect_same_end("whole", broken, broken);
        free(broken);
    }
}

Test(resume, a_residual_network_goes_on_from_every_step)
{
    expect_same_from_every_step(residual);
}

Test(resume, adam_goes_on_from_every_step)
{
    expect_same_from_every_step(adam);
}

Test(resume, momentum_goes_on_from_every_step)
{
    expect_same_from_every_step(sgd);
}

Test(resume, lion_goes_on_from_every_step)
{
    expect_same_from_every_step(lion);
}

Test(resume, muon_goes_on_from_every_step)
{
    expect_same_from_every_step(muon);
}

/* metrics.csv has a UTF-8 mark and lines that end in CR LF. The run makes the rows after the checkpoint again. */
Test(resume, goes_on_after_a_spreadsheet_saved_the_metrics)
{
    run_good(adam, "whole", TRAIN_NEW);
    break_off("whole", "broken", 13);
    char *text = support_file_read("broken/metrics.csv", NULL), *saved, *rest = text;
    size_t size;
    FILE *out = memory_stream(&saved, &size);
    fputs("\xEF\xBB\xBF", out);
    for (char *line; (line = strsep(&rest, "\n"));) fprintf(out, "%s%s", line, rest ? "\r\n" : "");
    memory_stream_close(out, &saved);
    support_file_write("broken/metrics.csv", saved, strlen(saved));
    run_good(adam, "broken", TRAIN_RESUME);
    expect_same_end("whole", "broken", "saved by a spreadsheet");
    free(text), free(saved);
    text = support_file_read("broken/metrics.csv", NULL);
    cr_expect(!strchr(text, '\r') && strncmp(text, "step,", 5) == 0, "%s", text);
    free(text);
}

Test(resume, another_number_of_threads_gives_the_same)
{
    run_good(adam, "whole", TRAIN_NEW);
    break_off("whole", "broken", 7);
    struct status status = {0};
    cr_assert(run_experiment(adam, "backend.threads=3", "broken", TRAIN_RESUME, &status), "%s", status.message);
    cr_expect(same_metrics("whole", "broken"));
    struct checkpoint a, b;
    cr_assert(checkpoint_open(&a, "whole", CHECKPOINT_LAST, &status) &&
              checkpoint_open(&b, "broken", CHECKPOINT_LAST, &status));
    for (int i = 0; i < a.file.tensor_count; i++) {
        int64_t size;
        cr_assert(safetensors_dtype_bytes(a.file.tensors[i].dtype, a.file.tensors[i].count, &size));
        cr_expect_eq(memcmp(a.file.tensors[i].data, b.file.tensors[i].data, (size_t)size), 0, "%s",
                     a.file.tensors[i].name);
    }
    checkpoint_free(&a), checkpoint_free(&b);
}

/* --- every piece of state matters --- */

/* Copies a checkpoint with one tensor zeroed or one text replaced, and with a correct digest. */
static void copy_with(const char *from, const char *to, const char *name, const char *value)
{
    struct safetensors_file file;
    struct status status = {0};
    cr_assert(safetensors_read(&file, from, SAFETENSORS_DIGEST_REQUIRED, &status), "%s", status.message);
    void *zeros = NULL;
    for (int i = 0; i < file.tensor_count; i++)
        if (strcmp(file.tensors[i].name, name) == 0)
            file.tensors[i].data = zeros = memory_alloc((size_t)file.tensors[i].count, 8);
    for (int i = 0; i < file.metadata_count; i++)
        if (strcmp(file.metadata[i].key, name) == 0) file.metadata[i].value = value;
    cr_assert(safetensors_write(to, file.tensors, file.tensor_count, file.metadata, file.metadata_count, &status), "%s",
              status.message);
    safetensors_free(&file);
    free(zeros);
}

/* Lets the run go on from that step with `name` lost: the run must be refused or end elsewhere. */
static void expect_missed(const char *text, int step, const char *name, const char *value)
{
    struct status status = {0};
    char *from = step_path("whole", step), *folder = memory_format("lost %s", name), *to = step_path(folder, step);
    break_off("whole", folder, step);
    copy_with(from, to, name, value);
    cr_assert_not(same_files(from, to), "%s is as it was", name);
    bool done = run_experiment(text, NULL, folder, TRAIN_RESUME, &status);
    cr_expect(!done || !same_metrics("whole", folder) ||
                  !same_checkpoints("whole", folder, "step_00000030.safetensors"),
              "%s: nobody missed it", name);
    free(from), free(folder), free(to);
}

static void expect_every_tensor_missed(const char *text)
{
    struct checkpoint checkpoint;
    struct status status = {0};
    run_good(text, "whole", TRAIN_NEW);
    cr_assert(checkpoint_open(&checkpoint, "whole/checkpoints/step_00000014.safetensors", CHECKPOINT_LAST, &status));
    cr_assert_geq(checkpoint.file.tensor_count, 20);
    for (int i = 0; i < checkpoint.file.tensor_count; i++)
        expect_missed(text, 14, checkpoint.file.tensors[i].name, NULL);
    checkpoint_free(&checkpoint);
}

Test(resume, every_tensor_of_adam_is_missed)
{
    expect_every_tensor_missed(adam);
}

Test(resume, every_tensor_of_momentum_is_missed)
{
    expect_every_tensor_missed(sgd);
}

/* The best row exists at step 29; that of step 30 is no better. */
Test(resume, every_text_is_missed)
{
    static const struct {
        const char *name, *value;
    } texts[] = {{"trainer_checkpoint", "0"},
                 {"step", "28"},
                 {"epoch", "0"},
                 {"batch", "0"},
                 {"seed", "0"},
                 {"rng", "another"},
                 {"metrics_rows", "6"},
                 {"best_step", "0"},
                 {"best_epoch", "0"},
                 {"best_train_loss", "0"},
                 {"best_train_accuracy", "0"},
                 {"best_test_loss", "0"},
                 {"best_test_accuracy", "0.5"},
                 {"best_learning_rate", "0"},
                 {"config", "[train]\n"},
                 {"config_sha256", "0"}};
    run_good(sgd, "whole", TRAIN_NEW);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) expect_missed(sgd, 29, texts[i].name, texts[i].value);
}

/* --- an abandoned evaluation --- */

/* Step 16 is evaluated. A stop in the middle of that evaluation leaves a checkpoint with the rows of step 15. */
Test(resume, an_evaluation_that_was_given_up_is_made_up_for)
{
    struct safetensors_file file, before;
    struct status status = {0};
    run_good(adam, "whole", TRAIN_NEW);
    break_off("whole", "broken", 16);
    cr_assert(
        safetensors_read(&file, "whole/checkpoints/step_00000016.safetensors", SAFETENSORS_DIGEST_REQUIRED, &status));
    cr_assert(
        safetensors_read(&before, "whole/checkpoints/step_00000015.safetensors", SAFETENSORS_DIGEST_REQUIRED, &status));
    for (int i = 0; i < file.metadata_count; i++)
        if (strncmp(file.metadata[i].key, "best_", 5) == 0 || strcmp(file.metadata[i].key, "metrics_rows") == 0)
            file.metadata[i].value = safetensors_metadata_find(&before, file.metadata[i].key);
    cr_assert(safetensors_write("broken/checkpoints/step_00000016.safetensors", file.tensors, file.tensor_count,
                                file.metadata, file.metadata_count, &status));
    cr_assert_not(same_checkpoints("whole", "broken", "step_00000016.safetensors"));
    run_good(adam, "broken", TRAIN_RESUME);
    expect_same_end("whole", "broken", "given up");
    cr_expect(same_checkpoints("whole", "broken", "step_00000016.safetensors"));
    safetensors_free(&file), safetensors_free(&before);
}

static bool always(void *argument)
{
    (void)argument;
    return true;
}

Test(resume, an_evaluation_can_be_given_up)
{
    struct experiment experiment;
    struct dataset dataset;
    struct backend *backend;
    struct trainer trainer;
    struct status status = {0};
    struct evaluation evaluation, whole;
    const struct evaluation_watch stopping = {.stop = always};
    cr_assert(load_text(&experiment, adam, &status) && backend_from_experiment(&backend, &experiment, &status));
    cr_assert(dataset_from_experiment(&dataset, &experiment, NULL, &status));
    cr_assert(trainer_create(&trainer, &experiment, &dataset, backend, NULL, &status));
    trainer_step(&trainer);
    cr_expect_not(trainer_evaluate_unless(&trainer, &trainer.train_set, &stopping, &evaluation));
    cr_expect(trainer_evaluate_unless(&trainer, &trainer.train_set, NULL, &evaluation));
    whole = trainer_evaluate(&trainer, &trainer.train_set);
    cr_expect(whole.loss == evaluation.loss && whole.accuracy == evaluation.accuracy);
    cr_expect_eq(network_metrics(trainer.network).count, 0);
    trainer_destroy(&trainer);
    dataset_free(&dataset);
    backend_destroy(backend);
    experiment_free(&experiment);
}

/* --- which checkpoints stay --- */

Test(resume, the_last_ones_and_the_best_stay)
{
    const char *text = DATA MODEL "[checkpoint]\nfreq = 7\nkeep = 2\n";
    struct checkpoint best;
    struct status status = {0};
    run_good(text, "run", TRAIN_NEW);
    cr_expect(!file_exists("run/checkpoints/step_00000021.safetensors"));
    cr_expect(file_exists("run/checkpoints/step_00000028.safetensors"));
    cr_expect(file_exists("run/checkpoints/step_00000030.safetensors"));
    cr_assert(checkpoint_open(&best, "run", CHECKPOINT_BEST, &status), "%s", status.message);
    cr_expect_eq(best.step, best.best.step);
    checkpoint_free(&best);
    run_good(DATA MODEL "[checkpoint]\nfreq = 0\nbest = false\n", "other", TRAIN_NEW);
    cr_expect(file_exists("other/checkpoints/step_00000030.safetensors"));
    cr_expect(!file_exists("other/checkpoints/best.safetensors"));
    cr_expect(!file_exists("other/checkpoints/step_00000007.safetensors"));
}

Test(resume, what_a_killed_save_left_is_removed)
{
    run_good(sgd, "whole", TRAIN_NEW);
    break_off("whole", "broken", 14);
    support_file_write("broken/checkpoints/step_00000015.safetensors.77.part", "half", 4);
    support_file_write("broken/checkpoints/best.safetensors.77.part", "half", 4);
    support_file_write("broken/resolved.ini.77.part", "half", 4);
    support_file_write("broken/mine.part", "mine", 4);
    run_good(sgd, "broken", TRAIN_RESUME);
    expect_same_end("whole", "broken", "killed in a save");
    cr_expect(!file_exists("broken/checkpoints/step_00000015.safetensors.77.part"));
    cr_expect(!file_exists("broken/checkpoints/best.safetensors.77.part"));
    cr_expect(!file_exists("broken/resolved.ini.77.part"));
    cr_expect(file_exists("broken/mine.part"));
}

/* --- folders that hold a run --- */

Test(resume, a_run_is_not_overwritten_by_accident)
{
    const char *shorter = DATA MODEL "[checkpoint]\nfreq = 7\n";
    run_good(sgd, "run", TRAIN_NEW);
    file_copy("run/metrics.csv", "before.csv");
    expect_run_error(
        sgd, NULL, "run", TRAIN_NEW, STATUS_USAGE,
        "run: holds a run already, saved at step 30; go on with it: trainer resume run; or start anew with "
        "--overwrite, or elsewhere with --out FOLDER");
    cr_expect(same_files("run/metrics.csv", "before.csv"));
    run_good(shorter, "run", TRAIN_OVERWRITE);
    cr_expect(!file_exists("run/checkpoints/step_00000029.safetensors"), "of the run before");
    cr_expect(!same_files("run/metrics.csv", "before.csv"));
}

Test(resume, a_finished_run_stays_as_it_is)
{
    run_good(sgd, "whole", TRAIN_NEW);
    file_copy("whole/metrics.csv", "before.csv");
    file_copy("whole/checkpoints/step_00000030.safetensors", "before");
    run_good(sgd, "whole", TRAIN_RESUME);
    cr_expect(same_files("whole/metrics.csv", "before.csv"));
    cr_expect(same_files("whole/checkpoints/step_00000030.safetensors", "before"));
}

Test(resume, a_folder_without_a_checkpoint_starts_from_the_start)
{
    const char cut[] =
        "step,epoch,train_loss,train_accuracy,test_loss,test_accuracy,learning_rate,elapsed_seconds\n4,1,";
    run_good(sgd, "whole", TRAIN_NEW);
    cr_assert_eq(mkdir("broken", 0777), 0);
    support_file_write("broken/metrics.csv", cut, strlen(cut));
    run_good(sgd, "broken", TRAIN_RESUME);
    expect_same_end("whole", "broken", "no checkpoint");
    run_good(sgd, "nothing", TRAIN_RESUME);
    expect_same_end("whole", "nothing", "no folder");
}

Test(resume, a_run_can_be_made_longer)
{
    struct status status = {0};
    char *longer = memory_format("%s[schedule]\n", sgd);
    cr_assert(run_experiment(longer, "train.max_steps=14", "run", TRAIN_NEW, &status), "%s", status.message);
    run_good(longer, "run", TRAIN_RESUME);
    run_good(longer, "whole", TRAIN_NEW);
    cr_expect(same_checkpoints("run", "whole", "step_00000015.safetensors") == false, "rows: 14 was evaluated");
    char *metrics = read_metrics("run"), *expected = read_metrics("whole");
    cr_expect(strstr(metrics, "\n14,") && strstr(metrics, "\n30,") && !strstr(expected, "\n14,"));
    cr_expect_str_eq(strstr(metrics, "\n16,"), strstr(expected, "\n16,"));
    free(metrics), free(expected), free(longer);
}

/* --- what is refused --- */

/* The folder is a copy of a run without its checkpoints. A scheduler's resume starts it anew; a person's is refused. */
Test(resume, rows_without_a_checkpoint_are_not_lost_by_resume)
{
    run_good(sgd, "run", TRAIN_NEW);
    file_copy("run/metrics.csv", "before.csv");
    cr_assert_eq(system("/bin/rm run/checkpoints/*"), 0);
    expect_run_error(sgd, NULL, "run", TRAIN_CONTINUE, STATUS_USAGE,
                     "run: metrics.csv has evaluations, but no checkpoint to go on from is in run/checkpoints; start "
                     "the run anew with: trainer run/resolved.ini --out run --overwrite");
    cr_expect(same_files("run/metrics.csv", "before.csv"));
    cr_assert(freopen("stderr.txt", "w", stderr));
    run_good(sgd, "run", TRAIN_RESUME);
    fflush(stderr);
    char *said = support_file_read("stderr.txt", NULL);
    cr_expect_not_null(strstr(said, "trainer: run: no checkpoint to go on from is in its checkpoints/, so the run "
                                    "starts anew at step 0\n"),
                       "%s", said);
    cr_expect(same_metrics("run", "run") && file_exists("run/checkpoints/step_00000030.safetensors"));
    free(said);
}

/* A slip of --out must not write into a folder with other contents, or with --overwrite remove them. */
Test(resume, a_folder_of_something_else_is_refused)
{
    static const enum train_start starts[] = {TRAIN_NEW, TRAIN_OVERWRITE, TRAIN_RESUME, TRAIN_CONTINUE};
    cr_assert(mkdir("other", 0777) == 0 && mkdir("other/checkpoints", 0777) == 0);
    support_file_write("other/checkpoints/model.pt", "mine", 4);
    for (int i = 0; i < 4; i++)
        expect_run_error(sgd, NULL, "other", starts[i], STATUS_USAGE,
                         "other: is not the folder of a run: it holds \"checkpoints\" and nothing of a run; choose a "
                         "new or empty folder with --out FOLDER");
    expect_run_error(sgd, NULL, "/", TRAIN_OVERWRITE, STATUS_USAGE, NULL);
    expect_run_error(sgd, NULL, ".", TRAIN_OVERWRITE, STATUS_USAGE, NULL);
    cr_expect_eq(system("PATH=/usr/bin:/bin; test \"$(find other -type f)\" = other/checkpoints/model.pt"), 0);
    cr_expect(!file_exists("resolved.ini") && !file_exists("checkpoints"));
    cr_assert_eq(mkdir("empty", 0777), 0);
    run_good(sgd, "empty", TRAIN_NEW);
}

/* A run makes its folder before anything else. A second process that finds the folder locked has no right to it. */
Test(resume, a_refused_process_removes_nothing)
{
    struct run_folder first, second;
    struct status status = {0};
    cr_assert(run_folder_open(&first, "run", TRAIN_NEW, &status), "%s", status.message);
    cr_expect_not(run_folder_open(&second, "run", TRAIN_NEW, &status));
    second.created = true; /* the second process looked before the first one made the folder */
    run_folder_close(&second);
    cr_expect(file_exists("run"));
    cr_expect(run_folder_check(&first, &status), "%s", status.message);
    run_folder_close(&first);
    cr_expect_not(file_exists("run"));
}

Test(resume, another_experiment_is_refused_with_its_key)
{
    run_good(adam, "run", TRAIN_NEW);
    file_copy("run/metrics.csv", "before.csv");
    expect_run_error(
        adam, "optimizer.learning_rate=0.1", "run", TRAIN_RESUME, STATUS_USAGE,
        "--set optimizer.learning_rate: expected \"0.003\", as in the run in run that is to go on, found \"0.1\"");
    expect_run_error(adam, "model.dropout=0", "run", TRAIN_RESUME, STATUS_USAGE,
                     "--set model.dropout: expected \"0.1\", as in the run in run that is to go on, found \"0\"");
    expect_run_error(adam, "experiment.seed=1", "run", TRAIN_RESUME, STATUS_USAGE,
                     "--set experiment.seed: expected \"42\", as in the run in run that is to go on, found \"1\"");
    expect_run_error(
        adam, "backend.precision=fp64", "run", TRAIN_RESUME, STATUS_USAGE,
        "--set backend.precision: expected \"fp32\", as in the run in run that is to go on, found \"fp64\"");
    expect_run_error(adam, "train.max_steps=40", "run", TRAIN_RESUME, STATUS_USAGE,
                     "--set train.max_steps: expected \"30\", as in the run in run that is to go on, found \"40\"");
    char *edited = memory_format("%s[experiment]\nseed = 3\n", adam);
    expect_run_error(edited, NULL, "run", TRAIN_RESUME, STATUS_USAGE,
                     "x.ini:37: experiment.seed: expected \"42\", as in the run in run that is to go on, found \"3\"");
    free(edited);
    cr_expect(same_files("run/metrics.csv", "before.csv"));
}

Test(resume, fewer_steps_than_are_done_are_refused)
{
    run_good(sgd, "run", TRAIN_NEW);
    expect_run_error(sgd, "train.max_steps=20", "run", TRAIN_RESUME, STATUS_USAGE,
                     "--set train.max_steps: expected at least the 30 steps that the run in run has done, found 20");
}

Test(resume, metrics_that_lack_rows_are_refused)
{
    run_good(sgd, "whole", TRAIN_NEW);
    break_off("whole", "broken", 14);
    const char *header = "step,epoch,train_loss,train_accuracy,test_loss,test_accuracy,learning_rate,elapsed_seconds\n";
    support_file_write("broken/metrics.csv", header, strlen(header));
    expect_run_error(sgd, NULL, "broken", TRAIN_RESUME, STATUS_RUNTIME,
                     "broken/metrics.csv: expected at least the 3 rows of the checkpoint, found 0");
    cr_assert_eq(unlink("broken/metrics.csv"), 0);
    expect_run_error(sgd, NULL, "broken", TRAIN_RESUME, STATUS_RUNTIME,
                     "broken/metrics.csv: cannot open: No such file or directory");
}

Test(resume, a_damaged_checkpoint_is_refused)
{
    size_t size;
    run_good(sgd, "run", TRAIN_NEW);
    char *bytes = support_file_read("run/checkpoints/step_00000030.safetensors", &size);
    bytes[size / 2] ^= 4;
    support_file_write("run/checkpoints/step_00000030.safetensors", bytes, size);
    expect_run_error(
        sgd, NULL, "run", TRAIN_RESUME, STATUS_RUNTIME,
        "run/checkpoints/step_00000030.safetensors: not a good safetensors file: damaged: its SHA-256 is not the "
        "one that it was written with; without this file the run goes on from step 29");
    cr_assert_eq(unlink("run/checkpoints/step_00000030.safetensors"), 0);
    run_good(sgd, "run", TRAIN_RESUME);
    bytes[size / 2] ^= 4;
    support_file_write("whole", bytes, size);
    cr_expect(same_files("whole", "run/checkpoints/step_00000030.safetensors"));
    free(bytes);
}

/* A limit to the size of files stands for a full disk: metrics.csv fits, a checkpoint does not. */
Test(resume, a_full_disk_ends_the_run_and_what_was_saved_stays)
{
    const struct rlimit low = {.rlim_cur = 2500, .rlim_max = RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
    run_good(sgd, "whole", TRAIN_NEW);
    break_off("whole", "broken", 14);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &low), 0);
    expect_run_error(sgd, NULL, "broken", TRAIN_RESUME, STATUS_RUNTIME,
                     "broken/checkpoints/step_00000015.safetensors: cannot write: File too large");
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    cr_expect(same_checkpoints("whole", "broken", "step_00000014.safetensors"));
    cr_expect(!file_exists("broken/checkpoints/step_00000015.safetensors"));
    run_good(sgd, "broken", TRAIN_RESUME);
    expect_same_end("whole", "broken", "a full disk");
}

Test(resume, a_second_run_in_the_folder_is_refused)
{
    run_good(sgd, "run", TRAIN_NEW);
    int folder = open("run", O_RDONLY | O_DIRECTORY);
    cr_assert(folder >= 0 && flock(folder, LOCK_EX) == 0);
    for (int start = TRAIN_NEW; start <= TRAIN_RESUME; start++)
        expect_run_error(sgd, NULL, "run", (enum train_start)start, STATUS_RUNTIME,
                         "run: another run is running in this folder");
    close(folder);
    run_good(sgd, "run", TRAIN_RESUME);
}

Test(resume, a_failed_start_leaves_no_folder)
{
    struct status status = {0};
    cr_assert_not(run_experiment(sgd, "train.batch_size=51", "run", TRAIN_NEW, &status));
    cr_expect(!file_exists("run"));
    cr_assert_eq(mkdir("mine", 0777), 0);
    cr_assert_not(run_experiment(sgd, "train.batch_size=51", "mine", TRAIN_NEW, &status));
    cr_expect(file_exists("mine"));
}
