/* Tests the program as users meet it: exit codes, one line per error, help, and small runs. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/cli/cli_private.h"
#include "config_support.h"

TestSuite(cli, .init = enter_folder, .fini = leave_folder);

struct result {
    int code; /* the exit code, or -1: the program did not exit by itself */
    char *out, *error;
};

static void redirect(int descriptor, const char *path)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (file < 0 || dup2(file, descriptor) < 0) _exit(99);
    close(file);
}

/* Runs the program with the arguments (ended by NULL) in the current folder. */
static struct result run_to(const char *out_path, char **argv)
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        redirect(STDOUT_FILENO, out_path);
        redirect(STDERR_FILENO, "stderr.txt");
        execv(TRAINER_PROGRAM, argv);
        _exit(99);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    struct result result = {.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1};
    result.error = support_file_read("stderr.txt", NULL);
    return result;
}

static struct result run(const char *first, ...)
{
    char *argv[32] = {"trainer", (char *)first};
    va_list arguments;
    va_start(arguments, first);
    for (int i = 2; argv[i - 1]; i++) argv[i] = va_arg(arguments, char *);
    va_end(arguments);
    struct result result = run_to("stdout.txt", argv);
    result.out = support_file_read("stdout.txt", NULL);
    return result;
}

static void result_free(struct result *result)
{
    free(result->out);
    free(result->error);
}

static void expect_error(struct result result, int code, const char *line)
{
    char *expected = memory_format("trainer: %s\n", line);
    cr_expect_eq(result.code, code, "exit code %d, not %d: %s", result.code, code, line);
    cr_expect_str_eq(result.error, expected, "\"%s\", not \"%s\"", result.error, expected);
    free(expected);
    result_free(&result);
}

static void expect_output(struct result result, const char *part)
{
    cr_expect_eq(result.code, 0, "exit code %d: %s", result.code, result.error);
    cr_expect_str_empty(result.error);
    cr_expect_not_null(strstr(result.out, part), "\"%s\" lacks \"%s\"", result.out, part);
    result_free(&result);
}

/* Writes the config of a perceptron that trains in no time. */
static void write_tiny_config(const char *path)
{
    const char *text = "[data]\ndataset = synthetic\nsynthetic_train = 20\nsynthetic_test = 10\nsynthetic_classes = 2\n"
                       "synthetic_channels = 1\nsynthetic_size = 4\n"
                       "[model]\nhidden = 3\n[train]\nmax_steps = 4\nbatch_size = 5\neval_freq = 2\n"
                       "[backend]\ndevice = cpu\nthreads = 1\n";
    support_file_write(path, text, strlen(text));
}

static bool exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

/* --- help --- */

Test(cli, helps)
{
    expect_output(run("--help", NULL), "usage: trainer [train] CONFIG");
    expect_output(run("-h", NULL), "subcommands:\n");
    expect_output(run("help", NULL), "subcommands:\n");
    expect_output(run("help", "summary", NULL), "usage: trainer summary CONFIG");
    expect_output(run("train", "--help", NULL), "--out FOLDER");
    expect_output(run("summary", "-h", NULL), "--set SECTION.KEY=VALUE");
    expect_output(run("config", "--help", NULL), "usage: trainer config [CONFIG] [--defaults]");
    expect_output(run("help", "--help", NULL), "usage: trainer help [SUBCOMMAND] [--format FORMAT]");
    expect_output(run("no.ini", "--help", NULL), "usage: trainer [train] CONFIG");
    expect_output(run("--version", NULL), "trainer ");
    expect_output(run("-V", NULL), "trainer ");
}

Test(cli, lists_the_keys)
{
    expect_output(run("config", "--defaults", NULL), "\nmax_steps = 1500\n");
    expect_output(run("config", "-d", NULL), "\n# Example: 64, M, 128, M2s2p0, 256k5s2p2, A\n");
    expect_output(run("config", "-d", NULL), "\n# [sweep]\n");
}

Test(cli, writes_a_config_as_it_counts)
{
    write_tiny_config("tiny.ini");
    expect_output(run("config", "tiny.ini", "--set", "train.batch_size=7", NULL), "\nbatch_size = 7\n");
    char *text = support_file_read("stdout.txt", NULL);
    support_file_write("again.ini", text, strlen(text));
    expect_output(run("config", "again.ini", NULL), text);
    free(text);
    expect_error(run("config", NULL), 2, "expected a config file, or --defaults");
    expect_error(run("config", "-d", "tiny.ini", NULL), 2, "--defaults: expected no config, found \"tiny.ini\"");
    expect_error(run("config", "-d", "-s", "a.b=c", NULL), 2, "--set a.b: expected a config file for it");
}

/* The help shows each subcommand of the table, with its options, which are there once. */
Test(cli, helps_with_every_subcommand)
{
    for (int i = 0; cli_commands[i]; i++) {
        const struct cli_command *command = cli_commands[i];
        struct result result = run(command->name, "--help", NULL);
        cr_expect_eq(result.code, 0);
        cr_expect_not_null(strstr(result.out, command->summary), "%s", command->name);
        for (const struct cli_option *option = command->options; option->name; option++) {
            char term[CLI_OPTION_SIZE];
            cli_format_option(option, term, sizeof term);
            cr_expect_not_null(strstr(result.out, term), "%s lacks %s", command->name, term);
            cr_expect(option->help[strlen(option->help) - 1] == '.', "%s", option->help);
            for (const struct cli_option *other = command->options; other < option; other++)
                cr_expect(strcmp(other->name, option->name) != 0 && (other->letter != option->letter || !other->letter),
                          "%s has --%s twice, or its letter", command->name, option->name);
        }
        for (const char *line = result.out; *line; line += strcspn(line, "\n") + 1)
            cr_expect(line == result.out || strcspn(line, "\n") <= 100, "too wide: %.*s", (int)strcspn(line, "\n"),
                      line);
        result_free(&result);
    }
}

Test(cli, writes_pages_of_help)
{
    expect_output(run("help", "train", "--format", "man", NULL), ".TH TRAINER\\-TRAIN 1 ");
    expect_output(run("help", "train", "--format=markdown", NULL), "# trainer-train\n");
    expect_output(run("help", "--format", "markdown", "--out", "pages", NULL), "");
    cr_expect(exists("pages/README.md") && exists("pages/help.md") && exists("pages/config-sweep.md"));
    char *page = support_file_read("pages/config-train.md", NULL);
    cr_expect_not_null(strstr(page, "- `train.max_steps`<br>\n  Number of training steps.\n"), "%s", page);
    free(page);
    expect_error(run("help", "--format", "html", NULL), 2,
                 "--format: expected one of text, man, markdown, found \"html\"");
    expect_error(run("help", "--format", "man", NULL), 2,
                 "--format man: expected a subcommand, or --out FOLDER for every page");
    expect_error(run("help", "--out", "pages", NULL), 2, "--out: expected --format man or --format markdown with it");
    expect_error(run("help", "train", "-f", "man", "-o", "pages", NULL), 2,
                 "--out: expected no subcommand, found \"train\"");
    support_file_write("file", "", 0);
    struct result blocked = run("help", "-f", "man", "-o", "file/pages", NULL);
    cr_expect_eq(blocked.code, 1);
    result_free(&blocked);
}

/* --- the command line --- */

#define TRAIN_USAGE                                                                                                    \
    "usage: trainer [train] CONFIG [--set SECTION.KEY=VALUE]... [--out FOLDER] "                                       \
    "[--init-from RUN] [--resume] [--overwrite] [--quiet] [--progress bar|plain|none] [--plain]"

Test(cli, refuses_what_it_does_not_know)
{
    expect_error(run(NULL), 2, "expected a config file; " TRAIN_USAGE);
    expect_error(run("train", NULL), 2, "expected a config file; " TRAIN_USAGE);
    expect_error(run("trian", NULL), 2, "unknown subcommand \"trian\"; did you mean train?");
    expect_error(run("sumary", "x.ini", NULL), 2, "unknown subcommand \"sumary\"; did you mean summary?");
    expect_error(run("help", "confg", NULL), 2, "unknown subcommand \"confg\"; did you mean config?");
    expect_error(run("fly", NULL), 2, "\"fly\" is neither a subcommand nor a config file; see trainer --help");
    expect_error(run("", NULL), 2, "\"\" is neither a subcommand nor a config file; see trainer --help");
    expect_error(run("a.ini", "b.ini", NULL), 2, "unexpected argument \"b.ini\"; " TRAIN_USAGE);
    expect_error(run("completion", "fish", NULL), 2, "SHELL: expected one of bash, zsh, words, found \"fish\"");
    expect_error(run("completion", "bash", "x", NULL), 2, "unexpected argument \"x\"");
    expect_error(run("completion", NULL), 2, "expected bash or zsh; usage: trainer completion SHELL [WORD...]");
    expect_error(run("help", "train", "b.ini", NULL), 2,
                 "unexpected argument \"b.ini\"; usage: trainer help [SUBCOMMAND] [--format FORMAT] [--out FOLDER]");
}

Test(cli, refuses_options_it_does_not_know)
{
    expect_error(run("a.ini", "--ste", "x", NULL), 2, "unknown option \"--ste\"; did you mean --set?");
    expect_error(run("a.ini", "--quite=1", NULL), 2, "unknown option \"--quite=1\"; did you mean --quiet?");
    expect_error(run("a.ini", "--epochs", NULL), 2, "unknown option \"--epochs\"; see --help");
    expect_error(run("a.ini", "-qx", NULL), 2, "unknown option \"-x\"; see --help");
    expect_error(run("summary", "a.ini", "--out", "b", NULL), 2, "unknown option \"--out\"; see --help");
    expect_error(run("a.ini", "--quiet=3", NULL), 2, "option --quiet=3: expected no argument");
    expect_error(run("a.ini", "--set", NULL), 2, "option --set: expected an argument");
    expect_error(run("a.ini", "-o", NULL), 2, "option -o: expected an argument");
    expect_error(run("a.ini", "--out", "", NULL), 2, "--out: expected a folder, found nothing");
}

Test(cli, passes_on_what_is_wrong_with_a_config)
{
    write_tiny_config("tiny.ini");
    const char *bad = "[train]\nmax_steps = ten\n";
    support_file_write("bad.ini", bad, strlen(bad));
    expect_error(run("no.ini", NULL), 2, "no.ini: cannot open: No such file or directory");
    expect_error(run("summary", "no.ini", NULL), 2, "no.ini: cannot open: No such file or directory");
    expect_error(run("./", NULL), 2, "./: cannot read: Is a directory");
    expect_error(run("bad.ini", NULL), 2,
                 "bad.ini:2: train.max_steps: expected an integer from 1 to 1000000000, found \"ten\"");
    expect_error(run("tiny.ini", "-s", "train.max_steps=0", NULL), 2,
                 "--set train.max_steps: expected an integer from 1 to 1000000000, found \"0\"");
    expect_error(run("--set", "train.batch_sise=1", "train", "tiny.ini", NULL), 2,
                 "subcommand train: expected before the options");
    expect_error(run("--set", "train.batch_sise=1", "tiny.ini", NULL), 2,
                 "--set train.batch_sise: unknown key; did you mean train.batch_size?");
    expect_error(run("line\nbreak.ini", NULL), 2, "line?break.ini: cannot open: No such file or directory");
}

/* --- runs --- */

Test(cli, trains_into_the_default_folder)
{
    write_tiny_config("tiny.ini");
    expect_output(run("tiny.ini", NULL), "runs/tiny");
    cr_expect(exists("runs/tiny/metrics.csv") && exists("runs/tiny/resolved.ini"));
    expect_output(run("train", "tiny.ini", "--set", "experiment.name=other", NULL), "runs/other");
    cr_expect(exists("runs/other/metrics.csv"));
    char *first = support_file_read("runs/tiny/resolved.ini", NULL);
    cr_expect_not_null(strstr(first, "[train]\nmax_steps = 4\n"));
    free(first);
}

Test(cli, takes_options_before_and_after_the_config)
{
    write_tiny_config("tiny.ini");
    struct result quiet = run("-q", "--out=a/b", "tiny.ini", "--set", "train.max_steps=2", NULL);
    cr_expect_eq(quiet.code, 0, "%s", quiet.error);
    cr_expect_str_empty(quiet.out);
    cr_expect(exists("a/b/metrics.csv"));
    cr_expect_not(exists("runs"));
    result_free(&quiet);
    expect_output(run("--out", "c", "--", "tiny.ini", NULL), "test loss");
}

Test(cli, a_resolved_config_repeats_its_run)
{
    write_tiny_config("tiny.ini");
    expect_output(run("tiny.ini", "--out", "a", "--set", "train.max_steps=3", NULL), "test loss");
    expect_output(run("a/resolved.ini", "--out", "b", NULL), "test loss");
    char *a = support_file_read("a/resolved.ini", NULL), *b = support_file_read("b/resolved.ini", NULL);
    cr_expect_str_eq(a, b);
    free(a), free(b);
}

Test(cli, a_failed_run_exits_with_1)
{
    write_tiny_config("tiny.ini");
    support_file_write("file", "", 0);
    struct result blocked = run("tiny.ini", "--quiet", "--out", "file/run", NULL);
    cr_expect_eq(blocked.code, 1);
    cr_expect(strncmp(blocked.error, "trainer: file", 13) == 0, "%s", blocked.error);
    cr_expect_eq(strcspn(blocked.error, "\n") + 1, strlen(blocked.error), "one line");
    result_free(&blocked);
    struct result no_data = run("tiny.ini", "--set", "data.dataset=cifar10", "--set", "data.path=nowhere", NULL);
    cr_expect_eq(no_data.code, 1);
    cr_expect_not_null(strstr(no_data.error, "nowhere"), "%s", no_data.error);
    cr_expect_eq(strcspn(no_data.error, "\n") + 1, strlen(no_data.error), "one line");
    result_free(&no_data);
}

Test(cli, a_full_disk_under_the_output_is_an_error)
{
    if (!exists("/dev/full")) cr_skip("no /dev/full here");
    char *argv[] = {"trainer", "config", "--defaults", NULL};
    struct result result = run_to("/dev/full", argv);
    expect_error(result, 1, "cannot write to the standard output: No space left on device");
}

/* --- summary --- */

Test(cli, sums_up_a_network_without_its_data)
{
    char *convnet = support_path(CONFIG_FOLDER, "convnet.ini"), *mlp = support_path(CONFIG_FOLDER, "mlp.ini");
    expect_output(run("summary", convnet, NULL), "9,231,114     152,769,536");
    expect_output(run("summary", mlp, NULL), "308,310");
    expect_output(run("summary", mlp, "--set", "data.dataset=idx", "--set", "data.path=nowhere", "--set",
                      "data.image_size=28x20", "--set", "data.channels=1", "--set", "data.classes=7", NULL),
                  "\nAssuming images of 1x20x28 and 7 classes.\n");
    expect_error(
        run("summary", mlp, "--set", "data.dataset=idx", "--set", "data.path=nowhere", "--set", "data.channels=1",
            NULL),
        1,
        "nowhere: no such folder, expected the IDX files of MNIST or Fashion-MNIST there: point data.path (--set "
        "data.path=...) at them; Debian's package dataset-fashion-mnist has Fashion-MNIST in "
        "/usr/share/datasets/fashion-mnist; to go on without the data: " CONFIG_FOLDER
        "/mlp.ini: data.image_size (default): expected a value, as the data that would tell it cannot be read");
    expect_output(run("summary", mlp, "--set", "data.dataset=synthetic", "--set", "data.synthetic_size=8", NULL),
                  "images of 3x8x8, 10 classes");
    free(convnet);
    free(mlp);
}

/* The programs are those of a run: fused where the device does that, unless the config says otherwise. */
Test(cli, lists_the_operations_of_a_step)
{
    char *convnet = support_path(CONFIG_FOLDER, "convnet.ini");
    struct result fused = run("summary", convnet, "--ops", "--set", "train.batch_size=3", NULL);
    cr_expect_eq(fused.code, 0, "%s", fused.error);
    cr_expect_not_null(strstr(fused.out, "\na training step, 3 images:\n"));
    cr_expect_not_null(strstr(fused.out, "norm + relu + max-pool 3x3/2 backward"));
    cr_expect_not_null(strstr(fused.out, "within the op before it"));
    cr_expect_not_null(strstr(fused.out, "\nan evaluation, up to 128 images at a time:\n"));
    cr_expect_not_null(strstr(fused.out, " fold "));
    result_free(&fused);
    struct result alone = run("summary", convnet, "--ops", "--set", "backend.fuse=false", "--set",
                              "train.class_weights=balanced", "--set", "train.clip_norm=1", NULL);
    cr_expect_null(strstr(alone.out, "norm + relu"));
    cr_expect_not_null(strstr(alone.out, "class_weights"));
    cr_expect_not_null(strstr(alone.out, " clip "));
    result_free(&alone);
    free(convnet);
}

Test(cli, a_shape_that_cannot_be_names_its_entry)
{
    write_tiny_config("tiny.ini");
    struct result result = run("summary", "tiny.ini", "-s", "model.kind=convnet", "-s", "model.features=2, M9", NULL);
    cr_expect_eq(result.code, 2);
    cr_expect(strncmp(result.error, "trainer: --set model.features: entry 2", 38) == 0, "%s", result.error);
    result_free(&result);
}

/* --- pipes in place of files --- */

/* Returns the path of a pipe with a text in it, as a shell's <(...) gives it. */
static char *pipe_with(const char *text)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
    close(ends[1]);
    return memory_format("/dev/fd/%d", ends[0]);
}

Test(cli, takes_a_config_and_metrics_through_a_pipe, .timeout = 60)
{
    write_tiny_config("tiny.ini");
    expect_output(run("tiny.ini", "--out", "a", NULL), "run    a\n");
    char *text = support_file_read("tiny.ini", NULL), *rows = support_file_read("a/metrics.csv", NULL);
    char *config = pipe_with(text), *metrics = pipe_with(rows);
    expect_output(run("config", config, NULL), "\nmax_steps = 4\n");
    expect_output(run("report", metrics, "--out", "page.html", NULL), "page.html\n");
    free(text), free(rows), free(config), free(metrics);
}

static void put_pipe(const char *path)
{
    cr_assert((unlink(path) == 0 || !exists(path)) && mkfifo(path, 0600) == 0);
}

/* Nothing writes to these pipes: a program that waits for them never ends. */
Test(cli, waits_for_no_pipe, .timeout = 60)
{
    write_tiny_config("tiny.ini");
    expect_output(run("tiny.ini", "--out", "a", NULL), "run    a\n");
    put_pipe("pipe");
    expect_error(run("predict", "a", "pipe", NULL), 1, "pipe: not a regular file, expected a file");
    expect_error(run("predict", "pipe", "x.png", NULL), 1, "pipe: not a regular file, expected a file");
    expect_error(run("import", "tiny.ini", "pipe", "--out", "b", NULL), 1, "pipe: not a regular file, expected a file");
    put_pipe("a/resolved.ini");
    expect_error(run("resume", "a", NULL), 1, "a/resolved.ini: not a regular file, expected a file");
    expect_output(run("report", "a", NULL), "a/report.html\n");
    put_pipe("a/metrics.csv");
    expect_error(run("report", "a", NULL), 1, "a/metrics.csv: not a regular file, expected a file");
    expect_error(run("plot", "a", NULL), 1, "a/metrics.csv: not a regular file, expected a file");
    expect_error(run("tiny.ini", "--resume", "--out", "a", NULL), 1,
                 "a/metrics.csv: not a regular file, expected a file");
    expect_error(run("tiny.ini", "--out", "a", NULL), 2,
                 "a: holds a run already, saved at step 4; go on with it: trainer resume a; or start anew with "
                 "--overwrite, or elsewhere with --out FOLDER");
}

/* --- the page about runs --- */

static void expect_in_file(const char *path, const char *part)
{
    char *text = support_file_read(path, NULL);
    cr_assert_not_null(text, "%s", path);
    cr_expect_not_null(strstr(text, part), "%s lacks \"%s\"", path, part);
    free(text);
}

Test(cli, reports_on_runs)
{
    write_tiny_config("tiny.ini");
    expect_output(run("tiny.ini", "--out", "a", NULL), "run    a\n");
    expect_output(run("tiny.ini", "--out", "b", NULL), "run    b\n");
    expect_output(run("report", "a", NULL), "a/report.html\n");
    expect_in_file("a/report.html", "\"name\":\"a\",\"title\":\"MLP 3, sgd");
    expect_output(run("report", "a", "b/", NULL), "report.html\n");
    expect_in_file("report.html", "<title>a and b</title>");
    expect_output(run("report", "a", "--output", "page.html", NULL), "page.html\n");
    expect_error(run("report", NULL), 2,
                 "expected the folder of a run, or its metrics.csv; usage: trainer report RUN... [--out FILE] "
                 "[--output FILE] [--checkpoint best|last] [--no-evaluation] [--set SECTION.KEY=VALUE]...");
}

/* A run has no best checkpoint with checkpoint.best = false, and when it stops before its first evaluation. */
Test(cli, a_run_without_a_best_checkpoint_is_used_by_its_last)
{
    write_tiny_config("tiny.ini");
    expect_output(run("tiny.ini", "--set", "checkpoint.best=false", "--out", "a", NULL), "run    a\n");
    const char *said = "trainer: a has no best checkpoint; this is by the last one, "
                       "a/checkpoints/step_00000004.safetensors\n";
    static const char *const words[][3] = {
        {"eval", "step 4"}, {"export", "a/model.onnx\n"}, {"report", "a/report.html\n"}};
    for (int i = 0; i < 3; i++) {
        struct result result = run(words[i][0], "a", NULL);
        cr_expect_eq(result.code, 0);
        cr_expect_str_eq(result.error, said, "%s", result.error);
        cr_expect_not_null(strstr(result.out, words[i][1]), "%s", result.out);
        result_free(&result);
    }
    expect_error(run("eval", "a", "--checkpoint", "best", NULL), 1,
                 "a/checkpoints/best.safetensors: cannot open: No such file or directory; --checkpoint last takes "
                 "a/checkpoints/step_00000004.safetensors");
    expect_output(run("eval", "a", "--checkpoint", "last", NULL), "step 4");
}

/* The program reports a file name that cannot be experiment.name. Paths may be as long as the system allows. */
Test(cli, takes_odd_and_long_names)
{
    char deep[3000] = "deep";
    write_tiny_config("exp #2.ini");
    struct result result = run("exp #2.ini", NULL);
    cr_expect_eq(result.code, 0);
    cr_expect_str_eq(result.error,
                     "trainer: experiment.name is \"exp _2\", as the name of the config's file cannot be one\n");
    cr_expect(exists("runs/exp _2/metrics.csv"));
    result_free(&result);
    expect_error(run("exp #2.ini", "-q", NULL), 2,
                 "runs/exp _2: holds a run already, saved at step 4; go on with it: trainer resume 'runs/exp _2'; or "
                 "start anew with --overwrite, or elsewhere with --out FOLDER");
    write_tiny_config("tiny.ini");
    while (strlen(deep) < 2800) strcat(deep, "/a folder of a good length, for a path that is long but not too long");
    char *set = memory_format("data.path=%s", deep);
    result = run("tiny.ini", "-q", "--out", deep, "--set", set, NULL);
    cr_expect_eq(result.code, 0, "%s", result.error);
    result_free(&result);
    char *refused = memory_format("%s: holds a run already, saved at step 4; go on with it: trainer resume '%s'; or "
                                  "start anew with --overwrite, or elsewhere with --out FOLDER",
                                  deep, deep);
    expect_error(run("tiny.ini", "-q", "--out", deep, NULL), 2, refused);
    result = run("resume", deep, "-q", NULL);
    cr_expect_eq(result.code, 0, "%s", result.error);
    result_free(&result);
    expect_output(run("eval", deep, NULL), "step 4");
    free(refused), free(set);
}

Test(cli, a_report_says_what_it_lacks)
{
    write_tiny_config("tiny.ini");
    expect_output(run("tiny.ini", "--out", "a", NULL), "run    a\n");
    cr_assert_eq(remove("a/resolved.ini"), 0);
    expect_output(run("report", "a", "--no-evaluation", NULL), "a/report.html\n");
    expect_in_file("a/report.html", "\"no config: a/resolved.ini: cannot open: No such file or directory\","
                                    "\"no table of its layers, for want of a config\"");
    const char *config = "[data]\ndataset = idx\npath = nowhere\n";
    cr_assert_eq(system("rm -r a/checkpoints"), 0); /* they would show the layers too */
    support_file_write("a/resolved.ini", config, strlen(config));
    expect_output(run("report", "a", "--no-evaluation", NULL), "a/report.html\n");
    expect_in_file("a/report.html", "\"no table of its layers: nowhere: no such folder, expected the IDX files");
    expect_output(run("report", "a", "--set", "data.synthetic_size=5", NULL), "a/report.html\n");
    expect_in_file("a/report.html", "\"no confusion matrix and no images: a: no checkpoint is in a/checkpoints");
}
