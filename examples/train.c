/* Trains the network of a config step by step, prints the accuracy on the way, and saves the weights.
 *
 * usage: train CONFIG CHECKPOINT */
#include <stdio.h>
#include <trainer/session.h>

static int fail(const struct trainer_status *status)
{
    fprintf(stderr, "%s\n", status->message);
    return (int)status->code;
}

int main(int argc, char **argv)
{
    struct trainer_status status;
    struct trainer_evaluation now;
    if (argc != 3) return fprintf(stderr, "usage: train CONFIG CHECKPOINT\n"), TRAINER_USAGE;

    struct trainer_experiment *experiment = trainer_experiment_load(argv[1], NULL, 0, &status);
    if (!experiment) return fail(&status);
    struct trainer_session *session = trainer_session_create(experiment, &status);
    trainer_experiment_free(experiment);
    if (!session) return fail(&status);

    while (trainer_session_step(session, 100) > 0) {
        if (!trainer_session_evaluate(session, &now, &status)) return fail(&status);
        printf("step %ld: loss %.4f, test accuracy %.1f %%\n", (long)now.step, now.train.loss, 100 * now.test.accuracy);
    }
    if (!trainer_session_save(session, argv[2], &status)) return fail(&status);
    trainer_session_free(session);
    return 0;
}
