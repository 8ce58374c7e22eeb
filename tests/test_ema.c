/* Tests the moving average of parameters and running statistics. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "session_support.h"

static const char text[] = "[data]\ndataset = synthetic\nsynthetic_train = 50\nsynthetic_test = 23\n"
                           "synthetic_classes = 5\nsynthetic_size = 9\nnormalization = channel\n"
                           "[model]\nkind = convnet\nfeatures = 6, M, 17, M, A\nbatchnorm = custom\n"
                           "[optimizer]\nname = adam\nlearning_rate = 1e-2\n"
                           "[train]\nmax_steps = 30\nbatch_size = 16\n";

/* Opens a session; the lines in `more` belong to [train]. */
static struct session *open(const char *more, enum precision precision)
{
    char *whole = memory_format("%s%s[backend]\ndevice = cpu\nprecision = %s\n", text, more,
                                precision == PRECISION_FP64 ? "fp64" : "fp32");
    struct session *session = session_open(whole, 2);
    free(whole);
    return session;
}

/* Computes the average of an arena by the formula, in double. */
struct follower {
    size_t count;
    double *average;
};

static struct follower follow(const double *values, size_t count)
{
    struct follower follower = {count, memory_alloc(count, sizeof(double))};
    memcpy(follower.average, values, count * sizeof(double));
    return follower;
}

static void follower_step(struct follower *follower, const double *values, double decay, int step)
{
    double d = fmin(decay, (1.0 + step) / (10.0 + step));
    for (size_t i = 0; i < follower->count; i++) follower->average[i] = d * follower->average[i] + (1 - d) * values[i];
}

static void expect_followed(struct follower *follower, const double *values, const char *name)
{
    char message[256];
    /* The bound allows some roundings per step of numbers of size 1. */
    bool close =
        support_close(values, follower->average, (int64_t)follower->count, 1e-13, 1e-13, message, sizeof message);
    cr_expect(close, "%s: %s", name, message);
    free(follower->average);
}

/* In fp64 on the CPU the arenas are arrays of double. */
Test(ema, parameters_and_running_statistics_follow_the_formula)
{
    const double decay = 0.6; /* (1 + s) / (10 + s) reaches it at step 13 */
    struct session *session = open("ema_decay = 0.6\n", PRECISION_FP64);
    struct network *network = session->trainer.network;
    struct ema *ema = &session->trainer.ema;
    struct follower parameters = follow(network->parameters, network->arena_count);
    struct follower buffers = follow(network->buffers, network->buffer_count);
    cr_assert_gt(network->buffer_count, 0);
    for (int step = 0; step < 25; step++) {
        trainer_step(&session->trainer);
        follower_step(&parameters, network->parameters, decay, step);
        follower_step(&buffers, network->buffers, decay, step);
    }
    cr_expect(memcmp(ema->parameters, network->parameters, network->arena_count * sizeof(double)) != 0);
    expect_followed(&parameters, ema->parameters, "parameters");
    expect_followed(&buffers, ema->buffers, "running statistics");
    session_close(session);
}

static bool equal_evaluations(struct evaluation a, struct evaluation b)
{
    return a.loss == b.loss && a.accuracy == b.accuracy;
}

/* An evaluation equals that of a network whose parameters and running statistics are the averages. */
Test(ema, evaluations_use_the_average)
{
    struct session *session = open("ema_decay = 0.9\n", PRECISION_FP32), *plain = open("", PRECISION_FP32);
    for (int step = 0; step < 8; step++) trainer_step(&session->trainer), trainer_step(&plain->trainer);
    struct evaluation averaged = trainer_evaluate(&session->trainer, &session->trainer.test_set);
    struct evaluation own = trainer_evaluate(&plain->trainer, &plain->trainer.test_set);
    cr_expect_not(equal_evaluations(averaged, own));
    struct network *to = plain->trainer.network;
    memcpy(to->parameters, session->trainer.ema.parameters, to->arena_count * sizeof(float));
    memcpy(to->buffers, session->trainer.ema.buffers, to->buffer_count * sizeof(float));
    cr_expect(equal_evaluations(averaged, trainer_evaluate(&plain->trainer, &plain->trainer.test_set)));
    session_close(session), session_close(plain);
}

/* Neither the average nor an evaluation with it leaves a trace in training. */
Test(ema, training_does_not_notice)
{
    struct session *session = open("ema_decay = 0.9\n", PRECISION_FP32), *plain = open("", PRECISION_FP32);
    for (int step = 0; step < 8; step++) {
        trainer_step(&session->trainer), trainer_step(&plain->trainer);
        if (step == 4) trainer_evaluate(&session->trainer, &session->trainer.train_set);
    }
    const struct network *a = session->trainer.network, *b = plain->trainer.network;
    cr_expect_eq(memcmp(a->parameters, b->parameters, a->arena_count * sizeof(float)), 0);
    cr_expect_eq(memcmp(a->buffers, b->buffers, a->buffer_count * sizeof(float)), 0);
    cr_expect_null(plain->trainer.ema.parameters);
    session_close(session), session_close(plain);
}

/* The first average equals the network's initial values. */
Test(ema, before_the_first_step_it_is_the_network)
{
    struct session *session = open("ema_decay = 0.9\n", PRECISION_FP32);
    const struct network *network = session->trainer.network;
    const struct ema *ema = &session->trainer.ema;
    cr_expect_eq(memcmp(ema->parameters, network->parameters, network->arena_count * sizeof(float)), 0);
    cr_expect_eq(memcmp(ema->buffers, network->buffers, network->buffer_count * sizeof(float)), 0);
    session_close(session);
}
