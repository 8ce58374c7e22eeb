/* Tests runs that are told to stop and runs that diverge: exit codes, messages, and saved files. */
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "run_support.h"
#include "session_support.h"
#include "../src/train/diverged.h"

TestSuite(stop, .init = enter_without_gnuplot, .fini = leave_folder);

#define DATA                                                                                                           \
    "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\nsynthetic_classes = 5\n"                  \
    "synthetic_size = 7\nnormalization = channel\n[backend]\ndevice = cpu\nthreads = 1\n"
/* The run is long enough for a signal to meet it, and evaluates most of the time. */
static const char slow[] =
    DATA "[model]\nhidden = 64\nbatchnorm = custom\n[optimizer]\nname = adam\n"
         "[train]\nmax_steps = 2000\nbatch_size = 16\neval_freq = 3\n[checkpoint]\nfreq = 0\nbest = false\n";

/* --- signals --- */

/* Starts the program; `more` is another --set, or NULL. */
static pid_t start_program_with(const char *folder, const char *set, const char *more)
{
    support_file_write("x.ini", slow, strlen(slow));
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        if (!freopen("stdout.txt", "w", stdout) || !freopen("stderr.txt", "w", stderr)) _exit(99);
        execl(TRAINER_PROGRAM, "trainer", "x.ini", "--quiet", "--out", folder, "--set", set, more ? "--set" : NULL,
              more, (char *)NULL);
        _exit(99);
    }
    return child;
}

static pid_t start_program(const char *folder)
{
    return start_program_with(folder, "train.max_steps=2000", NULL);
}

/* Waits until metrics.csv has a row: the run then trains. */
static void wait_for_row(const char *folder)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    char *path = support_path(folder, "metrics.csv");
    for (int i = 0; i < 15000; i++) {
        char *text = support_file_read(path, NULL);
        bool found = text && strstr(text, "\n3,");
        free(text);
        if (found) break;
        nanosleep(&pause, NULL);
    }
    free(path);
}

static void wait_for_file(const char *path)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    for (int i = 0; i < 15000 && !file_exists(path); i++) nanosleep(&pause, NULL);
    cr_assert(file_exists(path));
}

static int wait_for_end(pid_t child)
{
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

Test(stop, each_signal_saves_and_the_run_goes_on)
{
    static const struct {
        int number;
        const char *name;
    } signals[] = {{SIGINT, "SIGINT"}, {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"}};
    run_good(slow, "whole", TRAIN_NEW);
    for (int i = 0; i < 3; i++) {
        const char *folder = signals[i].name;
        pid_t child = start_program(folder);
        wait_for_row(folder);
        cr_assert_eq(kill(child, signals[i].number), 0);
        int status = wait_for_end(child);
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == STATUS_STOPPED, "status %d", status);
        char *message = support_file_read("stderr.txt", NULL), *expected;
        struct checkpoint checkpoint;
        struct status problem = {0};
        cr_assert(checkpoint_open(&checkpoint, folder, CHECKPOINT_LAST, &problem), "%s", problem.message);
        cr_expect(checkpoint.step >= 3 && checkpoint.step < 2000);
        expected =
            memory_format("trainer: stopped by %s after step %d, which is saved; go on with: trainer resume %s\n",
                          folder, (int)checkpoint.step, folder);
        cr_expect_str_eq(message, expected, "%s", message);
        run_good(slow, folder, TRAIN_RESUME);
        cr_expect(same_metrics("whole", folder) && same_checkpoints("whole", folder, "step_00002000.safetensors"));
        checkpoint_free(&checkpoint);
        free(message), free(expected);
    }
}

/* --- a folder that goes away --- */

/* A forgotten run goes on in a folder that its owner removed or moved, perhaps to make place for a new run. */
static void expect_end_without_a_trace(bool moved, const char *more)
{
    const char *fate = moved ? "moved to " : "removed or replaced ";
    pid_t child = start_program_with("job", "train.max_steps=1000000000", more);
    wait_for_file("job/metrics.csv");
    cr_assert_eq(system(moved ? "/bin/mv job old" : "/bin/rm -r job"), 0);
    cr_assert_eq(mkdir("job", 0777), 0);
    support_file_write("job/metrics.csv", "new", 3);
    int status = wait_for_end(child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == STATUS_RUNTIME, "status %d", status);
    char *message = support_file_read("stderr.txt", NULL);
    char *start = memory_format("trainer: job: the folder of this run was %s", fate);
    cr_expect_eq(strncmp(message, start, strlen(start)), 0, "%s", message);
    cr_expect_not_null(strstr(message, " while it was going on, so it ends here\n"), "%s", message);
    cr_expect_eq(
        system("PATH=/usr/bin:/bin; test \"$(ls job)\" = metrics.csv && test \"$(cat job/metrics.csv)\" = new"), 0);
    free(message), free(start);
}

Test(stop, a_run_whose_folder_is_removed_ends)
{
    expect_end_without_a_trace(false, NULL);
}

Test(stop, a_run_whose_folder_is_moved_ends_and_can_go_on_there)
{
    expect_end_without_a_trace(true, NULL);
    cr_expect(file_exists("old/resolved.ini"));
}

/* Hours may pass between two saves. */
Test(stop, a_run_whose_folder_is_removed_ends_before_its_next_save)
{
    expect_end_without_a_trace(false, "train.eval_freq=1000000000");
}

/* --- two signals --- */

/* Both signals wait while the process is held, so that the second one meets it right after the first. */
Test(stop, the_second_signal_ends_it_at_once)
{
    pid_t child = start_program("run");
    int status;
    wait_for_row("run");
    cr_assert_eq(kill(child, SIGSTOP), 0);
    cr_assert_eq(waitpid(child, &status, WUNTRACED), child);
    cr_assert(kill(child, SIGINT) == 0 && kill(child, SIGTERM) == 0 && kill(child, SIGCONT) == 0);
    status = wait_for_end(child);
    cr_expect(WIFSIGNALED(status) && (WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGINT), "status %d", status);
    run_good(slow, "whole", TRAIN_NEW);
    run_good(slow, "run", TRAIN_RESUME);
    cr_expect(same_metrics("whole", "run") && same_checkpoints("whole", "run", "step_00002000.safetensors"));
}

/* nohup starts programs in this state. */
Test(stop, an_ignored_signal_stays_ignored)
{
    signal(SIGHUP, SIG_IGN);
    pid_t child = start_program("run");
    wait_for_row("run");
    cr_assert_eq(kill(child, SIGHUP), 0);
    int status = wait_for_end(child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
}

/* `ulimit -f` sets such a limit: the run must end with an error, not by SIGXFSZ. */
Test(stop, a_limit_to_the_size_of_files_is_an_error)
{
    const struct rlimit low = {.rlim_cur = 3000, .rlim_max = 3000};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &low), 0);
    int status = wait_for_end(start_program_with("run", "train.max_steps=3", NULL));
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == STATUS_RUNTIME, "status %d", status);
    char *message = support_file_read("stderr.txt", NULL);
    cr_expect(strstr(message, ".safetensors: cannot write: File too large\n"), "%s", message);
    free(message);
}

/* --- what is not finite --- */

/* The learning rate grows until no weight is finite; checkpoints before that are good. */
static const char diverging[] = DATA "[model]\nhidden = 9, 9\nactivation = leaky_relu\n"
                                     "[optimizer]\nlearning_rate = 1000\n[schedule]\nwarmup_steps = 1000\n"
                                     "[train]\nmax_steps = 1001\nbatch_size = 16\neval_freq = 10\n"
                                     "[checkpoint]\nfreq = 1\nkeep = 1000\nbest = false\n";

Test(stop, a_run_that_diverges_ends_with_its_last_good_checkpoint)
{
    struct status status = {0};
    cr_assert_not(run_experiment(diverging, NULL, "run", TRAIN_NEW, &status));
    cr_expect_eq(status.code, STATUS_DIVERGED);
    struct checkpoint checkpoint;
    struct status problem = {0};
    cr_assert(checkpoint_open(&checkpoint, "run", CHECKPOINT_LAST, &problem), "%s", problem.message);
    int64_t step = checkpoint.step + 1; /* the first step that is not saved */
    char *start = memory_format("step %d: ", (int)step), *rate = memory_format(", at learning rate %d; ", (int)step);
    char *end = memory_format("; the last good checkpoint is run/checkpoints/step_%08d.safetensors", (int)step - 1);
    cr_expect(strncmp(status.message, start, strlen(start)) == 0, "%s", status.message);
    cr_expect(strstr(status.message, " is not finite, at learning rate "), "%s", status.message);
    cr_expect(strstr(status.message, rate), "%s", status.message);
    cr_expect(strstr(status.message, end), "%s", status.message);
    for (int i = 0; i < checkpoint.file.tensor_count; i++) {
        const struct safetensors_tensor *tensor = &checkpoint.file.tensors[i];
        double *values = memory_alloc((size_t)tensor->count, sizeof *values);
        safetensors_values(tensor, values);
        for (int64_t k = 0; k < tensor->count; k++) cr_assert(isfinite(values[k]), "%s", tensor->name);
        free(values);
    }
    char *metrics = read_metrics("run");
    cr_expect(!strstr(metrics, "nan") && !strstr(metrics, "inf"), "%s", metrics);
    checkpoint_free(&checkpoint);
    free(start), free(rate), free(end), free(metrics);
}

/* The run saves nothing on the way, so the next evaluation finds the fault. */
Test(stop, the_next_evaluation_finds_it)
{
    struct status status = {0};
    cr_assert_not(run_experiment(diverging, "checkpoint.freq=0", "run", TRAIN_NEW, &status));
    cr_expect_eq(status.code, STATUS_DIVERGED);
    int step = 0;
    cr_assert_eq(sscanf(status.message, "step %d: the training loss is not finite", &step), 1, "%s", status.message);
    cr_expect_eq(step % 10, 0);
    cr_expect(
        strstr(status.message, "; it shows first in layer 0 (linear): weight; there is no checkpoint from before"),
        "%s", status.message);
}

static void spoil(struct session *session, const struct tensor *tensor)
{
    int64_t count = shape_count(tensor->shape);
    double *values = support_read(session->backend, tensor);
    values[count / 2] = NAN;
    session->backend->table->tensor_write(session->backend, tensor, values);
    free(values);
}

Test(stop, one_weight_is_found_with_its_layer)
{
    const char *text = DATA "[model]\nkind = convnet\nfeatures = 6, M\nbatchnorm = custom\n"
                            "[optimizer]\nlearning_rate = 0.25\n[train]\nbatch_size = 16\n";
    struct session *session = session_open(text, 2);
    const struct layer *layers = session->trainer.network->layers;
    struct status status = {0};
    trainer_step(&session->trainer);
    cr_expect(diverged_check_weights(&session->trainer, "nowhere", &status));
    cr_expect(diverged_check_loss(&session->trainer, "nowhere", "the training loss", 1, &status));
    spoil(session, &layers[1].parameter[1].value);
    cr_expect_not(diverged_check_weights(&session->trainer, "nowhere", &status));
    cr_expect_str_eq(
        status.message,
        "step 1: a weight is not finite, at learning rate 0.25; it shows first in layer 1 (batchnorm): bias; "
        "there is no checkpoint from before",
        "%s", status.message);
    cr_expect_eq(status.code, STATUS_DIVERGED);
    session_close(session);
}

/* A variance can overflow while losses and weights are finite. */
Test(stop, one_running_statistic_is_found_with_its_layer)
{
    const char *text = DATA "[model]\nkind = convnet\nfeatures = 6, M\nbatchnorm = custom\n[train]\nbatch_size = 16\n";
    struct session *session = session_open(text, 2);
    struct status status = {0};
    trainer_step(&session->trainer);
    spoil(session, &session->trainer.network->layers[1].buffer[1].value);
    cr_expect_not(diverged_check_weights(&session->trainer, NULL, &status));
    cr_expect_not_null(strstr(status.message, "a running statistic is not finite, at"), "%s", status.message);
    cr_expect_not_null(strstr(status.message, "in layer 1 (batchnorm): running_var"), "%s", status.message);
    session_close(session);
}

/* --- clipped gradients --- */

/* The same learning rates do no harm where the gradient is short. */
Test(stop, clipped_gradients_keep_a_run_from_diverging)
{
    const char *text = DATA "[model]\nhidden = 9, 9\nactivation = leaky_relu\n[optimizer]\nlearning_rate = 50\n"
                            "[train]\nmax_steps = 60\nbatch_size = 16\neval_freq = 60\n";
    struct status status = {0};
    cr_expect_not(run_experiment(text, NULL, "free", TRAIN_NEW, &status));
    cr_expect_eq(status.code, STATUS_DIVERGED);
    cr_expect(run_experiment(text, "train.clip_norm=1e-3", "clipped", TRAIN_NEW, &status), "%s", status.message);
}

Test(stop, a_step_moves_as_far_as_the_clipped_gradient)
{
    const char *text = "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\n"
                       "[model]\nhidden = 9\n[optimizer]\nlearning_rate = 1\n[train]\nbatch_size = 16\n"
                       "clip_norm = 0.125\n[backend]\ndevice = cpu\nprecision = fp64\n";
    struct session *session = session_open(text, 2);
    struct network *network = session->trainer.network;
    double *before = memory_alloc(network->arena_count, sizeof *before);
    memcpy(before, network->parameters, network->arena_count * sizeof *before);
    trainer_step(&session->trainer);
    double moved = 0, *after = network->parameters;
    for (size_t i = 0; i < network->arena_count; i++) moved += (after[i] - before[i]) * (after[i] - before[i]);
    cr_expect(fabs(sqrt(moved) - 0.125) < 1e-5, "%.9g", sqrt(moved));
    free(before);
    session_close(session);
}
