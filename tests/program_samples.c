/* Writes the programs of program_samples.h. */
#include "program_samples.h"

/* The variant of tests that compute nothing. */
static struct backend *sample_backend(void)
{
    int count;
    return variant_create(&variant_list(&count)[0], 1);
}

int sample_tensor(struct sample *sample, const char *name, enum tensor_kind kind, struct shape shape, enum space space)
{
    return program_tensor_add(sample->program, (struct program_tensor){.name = name,
                                                                       .name_index = -1,
                                                                       .kind = kind,
                                                                       .shape = shape,
                                                                       .batch = shape.n == SAMPLE_N,
                                                                       .space = space,
                                                                       .bytes = (size_t)shape_count(shape) * 8,
                                                                       .gradient = -1});
}

int sample_activation(struct sample *sample, const char *name, int64_t c, int64_t h)
{
    return sample_tensor(sample, name, TENSOR_ACTIVATION, (struct shape){SAMPLE_N, c, h, h}, SPACE_WORK);
}

/* A parameter and its gradient, at *offset of both arenas. */
static int sample_parameter(struct sample *sample, const char *name, const char *gradient_name, enum tensor_kind kind,
                            struct shape shape, int64_t *offset, int *gradient)
{
    int parameter = sample_tensor(sample, name, kind, shape, SPACE_PARAMETERS);
    *gradient = sample_tensor(sample, gradient_name, kind, shape, SPACE_GRADIENTS);
    struct program_tensor *tensors = sample->program->tensors;
    tensors[parameter].offset = tensors[*gradient].offset = *offset;
    tensors[parameter].gradient = *gradient;
    *offset += ((int64_t)tensors[parameter].bytes + 63) / 64 * 64;
    return parameter;
}

static void sample_parameters(struct sample *s)
{
    int64_t end = 0;
    s->w0 = sample_parameter(s, "w0", "dw0", TENSOR_FILTER, (struct shape){5, 3, 3, 3}, &end, &s->dw0);
    s->b0 = sample_parameter(s, "b0", "db0", TENSOR_VECTOR, shape_vector(5), &end, &s->db0);
    s->gamma = sample_parameter(s, "gamma", "dgamma", TENSOR_VECTOR, shape_vector(5), &end, &s->dgamma);
    s->beta = sample_parameter(s, "beta", "dbeta", TENSOR_VECTOR, shape_vector(5), &end, &s->dbeta);
    s->w1 = sample_parameter(s, "w1", "dw1", TENSOR_FILTER, (struct shape){10, 320, 1, 1}, &end, &s->dw1);
    s->b1 = sample_parameter(s, "b1", "db1", TENSOR_VECTOR, shape_vector(10), &end, &s->db1);
    s->gradients = sample_tensor(s, "gradients", TENSOR_FLAT, shape_vector(end / 8), SPACE_GRADIENTS);
}

static void sample_activations(struct sample *s)
{
    s->x0 = sample_activation(s, "x0", 3, 8);
    s->labels = sample_tensor(s, "labels", TENSOR_LABELS, (struct shape){SAMPLE_N, 1, 1, 1}, SPACE_WORK);
    s->x1 = sample_activation(s, "x1", 5, 8);
    s->x2 = sample_activation(s, "x2", 5, 8);
    s->x3 = sample_activation(s, "x3", 5, 8);
    s->x4 = sample_activation(s, "x4", 320, 1);
    s->x5 = sample_activation(s, "x5", 10, 1);
    s->mean = sample_tensor(s, "mean", TENSOR_VECTOR, shape_vector(5), SPACE_WORK);
    s->rstd = sample_tensor(s, "rstd", TENSOR_VECTOR, shape_vector(5), SPACE_WORK);
    s->metrics = sample_tensor(s, "metrics", TENSOR_METRICS, shape_vector(3), SPACE_METRICS);
    s->dx1 = sample_activation(s, "dx1", 5, 8);
    s->dx2 = sample_activation(s, "dx2", 5, 8);
    s->dx3 = sample_activation(s, "dx3", 5, 8);
    s->dx4 = sample_activation(s, "dx4", 320, 1);
    s->dx5 = sample_activation(s, "dx5", 10, 1);
}

/* An op with tensors in its first slots, up to `count`. */
struct op sample_op(enum op_kind kind, enum op_phase phase, int layer, const int *tensors, size_t count)
{
    struct op op = op_make(kind);
    op.phase = phase;
    op.layer = layer;
    for (size_t slot = 0; slot < count; slot++) op.tensor[slot] = tensors[slot];
    return op;
}

static const struct conv2d_params sample_window = {{3, 1, 1}, 1}, sample_point = {{1, 1, 0}, 1};

static void sample_forward(struct sample *s)
{
    struct program *p = s->program;
    program_add(p, SAMPLE_OP(GATHER, GATHER, -1, s->x0, s->labels));
    struct op conv2d = SAMPLE_OP(CONV2D, FORWARD, 0, s->x0, s->w0, s->b0, s->x1);
    conv2d.conv2d = sample_window;
    s->conv2d = program_add(p, conv2d);
    struct op norm = SAMPLE_OP(NORM, FORWARD, 1, s->x1, s->gamma, s->beta, -1, -1, -1, s->x2, s->mean, s->rstd);
    norm.norm = (struct batchnorm_fused_params){.activation = {ACTIVATION_NONE, 0}};
    s->norm = program_add(p, norm);
    s->activation = program_add(p, SAMPLE_OP(ACTIVATION, FORWARD, 2, s->x2, s->x3));
    s->flatten = program_add(p, SAMPLE_OP(FLATTEN, FORWARD, 3, s->x3, s->x4));
    struct op linear = SAMPLE_OP(CONV2D, FORWARD, 4, s->x4, s->w1, s->b1, s->x5);
    linear.conv2d = sample_point;
    s->linear = program_add(p, linear);
    s->loss = program_add(p, SAMPLE_OP(SOFTMAX_CROSS_ENTROPY, LOSS, -1, s->x5, s->labels, -1, s->metrics, s->dx5));
}

static void sample_backward(struct sample *s)
{
    struct program *p = s->program;
    struct op linear = SAMPLE_OP(CONV2D_BACKWARD, BACKWARD, 4, s->x4, s->w1, s->dx5, s->dx4, s->dw1, s->db1);
    linear.conv2d = sample_point;
    s->linear_backward = program_add(p, linear);
    s->flatten_backward = program_add(p, SAMPLE_OP(FLATTEN_BACKWARD, BACKWARD, 3, s->dx4, s->dx3));
    s->activation_backward = program_add(p, SAMPLE_OP(ACTIVATION_BACKWARD, BACKWARD, 2, s->x2, s->dx3, s->dx2));
    struct op norm = SAMPLE_OP(NORM_BACKWARD, BACKWARD, 1, s->x1, s->gamma, s->beta, s->mean, s->rstd, -1, -1, s->dx2,
                               s->dx1, -1, s->dgamma, s->dbeta);
    norm.norm = p->ops[s->norm].norm;
    s->norm_backward = program_add(p, norm);
    struct op conv2d = SAMPLE_OP(CONV2D_BACKWARD, BACKWARD, 0, s->x0, s->w0, s->dx1, -1, s->dw0, s->db0);
    conv2d.conv2d = sample_window;
    s->conv2d_backward = program_add(p, conv2d);
}

static void sample_optimizer(struct sample *s)
{
    const int parameters[] = {s->w0, s->b0, s->gamma, s->beta, s->w1, s->b1};
    s->clip = program_add(s->program, SAMPLE_OP(CLIP, OPTIMIZER, -1, s->gradients));
    s->updates = s->program->op_count;
    for (int i = 0; i < 6; i++)
        program_add(s->program,
                    SAMPLE_OP(UPDATE, OPTIMIZER, -1, parameters[i], s->program->tensors[parameters[i]].gradient));
}

struct sample sample_create(void)
{
    struct sample sample = {.backend = sample_backend()};
    sample.program = program_create(sample.backend, SAMPLE_N);
    sample_parameters(&sample);
    sample_activations(&sample);
    sample_forward(&sample);
    sample_backward(&sample);
    sample_optimizer(&sample);
    return sample;
}

void sample_free(struct sample *sample)
{
    program_free(sample->program);
    backend_destroy(sample->backend);
}

/* Moves an op to another place. */
void sample_move(struct program *program, int from, int to)
{
    struct op op = program->ops[from];
    program_remove(program, from);
    program_insert(program, to, op);
}
