/* train.epochs: the length of training in passes over the training set. */
#include <criterion/criterion.h>

#include "program_support.h"
#include "run_support.h"

TestSuite(epochs, .init = enter_without_gnuplot, .fini = leave_folder);

/* 50 samples in batches of 16: 3 steps an epoch, and 2 samples are left out. */
#define CONFIG                                                                                                         \
    "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\nsynthetic_size = 7\n"                     \
    "[checkpoint]\nfreq = 1\nkeep = 100\n[backend]\ndevice = cpu\n[train]\nbatch_size = 16\neval_freq = 4\n"
static const char four[] = CONFIG "epochs = 4\n[schedule]\nname = cosine\nwarmup_steps = 5\n";
static const char twelve[] = CONFIG "max_steps = 12\n[schedule]\nname = cosine\nwarmup_steps = 5\n";

Test(epochs, are_so_many_steps)
{
    run_good(four, "epochs", TRAIN_NEW);
    run_good(twelve, "steps", TRAIN_NEW);
    cr_expect(same_metrics("epochs", "steps"));
    char *resolved = support_file_read("epochs/resolved.ini", NULL);
    cr_expect(strstr(resolved, "\nmax_steps = 12\n") && strstr(resolved, "\nepochs = 4\n"));
    run_good(resolved, "again", TRAIN_NEW);
    cr_expect(same_metrics("epochs", "again"));
    cr_expect(same_checkpoints("epochs", "again", "step_00000012.safetensors"));
    free(resolved);
}

Test(epochs, a_run_goes_on_to_their_end)
{
    run_good(four, "whole", TRAIN_NEW);
    run_good(four, "broken", TRAIN_NEW);
    cr_assert_eq(system("/bin/rm broken/checkpoints/step_0000000[6-9].safetensors broken/checkpoints/step_0000001*"),
                 0);
    run_good(four, "broken", TRAIN_RESUME);
    cr_expect(same_metrics("whole", "broken"));
    cr_expect(same_checkpoints("whole", "broken", "step_00000012.safetensors"));
}

Test(epochs, set_on_the_command_line_they_or_the_steps_win)
{
    struct status status = {0};
    cr_assert(run_experiment(four, "train.max_steps=7", "shorter", TRAIN_NEW, &status), "%s", status.message);
    cr_expect(file_exists("shorter/checkpoints/step_00000007.safetensors"));
    cr_expect(!file_exists("shorter/checkpoints/step_00000008.safetensors"));
    cr_assert(run_experiment(twelve, "train.epochs=2", "two", TRAIN_NEW, &status), "%s", status.message);
    cr_expect(file_exists("two/checkpoints/step_00000006.safetensors"));
    cr_expect(!file_exists("two/checkpoints/step_00000007.safetensors"));
}

Test(epochs, contradictions_are_refused)
{
    expect_run_error(
        CONFIG "epochs = 4\nmax_steps = 11\n", NULL, "run", TRAIN_NEW, STATUS_USAGE,
        "x.ini:15: train.max_steps: expected the 12 steps of train.epochs = 4, or only one of the two keys, "
        "found 11");
    expect_run_error(CONFIG "epochs = 1\n[schedule]\nwarmup_steps = 3\n", NULL, "run", TRAIN_NEW, STATUS_USAGE,
                     "x.ini:16: schedule.warmup_steps: expected less than the 3 of train.epochs, found 3");
    expect_run_error(CONFIG "epochs = 400000000\n", NULL, "run", TRAIN_NEW, STATUS_USAGE,
                     "x.ini:14: train.epochs: expected at most 333333333, as an epoch has 3 steps, found 400000000");
}

/* Before the data are there nobody knows the steps, so that the text of the config has none. */
Test(epochs, a_config_that_is_written_can_be_read_again)
{
    support_file_write("x.ini", twelve, strlen(twelve));
    struct program_result config = program_run("config", "x.ini", "--set", "train.epochs=4", NULL);
    cr_assert_eq(config.code, 0, "%s", config.error);
    cr_expect(strstr(config.out, "\nepochs = 4\n") && !strstr(config.out, "\nmax_steps"), "%s", config.out);
    run_good(config.out, "again", TRAIN_NEW);
    run_good(twelve, "steps", TRAIN_NEW);
    cr_expect(same_metrics("again", "steps"));
    run_good(four, "epochs", TRAIN_NEW);
    cr_expect(same_metrics("epochs", "steps"));
}

Test(epochs, an_import_can_be_trained_further)
{
    run_good(four, "run", TRAIN_NEW);
    support_file_write("x.ini", four, strlen(four));
    struct program_result import =
        program_run("import", "x.ini", "run/checkpoints/best.safetensors", "--output", "made", NULL);
    cr_assert_eq(import.code, 0, "%s", import.error);
    struct program_result resumed = program_run("resume", "made", NULL);
    cr_expect_eq(resumed.code, 0, "%s", resumed.error);
    cr_expect(file_exists("made/checkpoints/step_00000012.safetensors"));
}
