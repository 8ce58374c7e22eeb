/* A pass of a convolution through cuDNN's graph interface. The pass on tensors of given shapes is an operation graph. For
 * a graph cuDNN proposes configurations: an engine, which is one of its implementations, and values for the engine's
 * knobs. A configuration is made into a plan, and a plan runs. An engine and its knobs are plain numbers, from which a
 * later run can make the same plan without asking for proposals.
 *
 * Nothing here stops the program. What cuDNN refuses is left out, since it offers many configurations for a pass. */
#ifndef CUDNN_PLAN_H
#define CUDNN_PLAN_H

#include <cudnn.h>

#include "backend/backend.h"

/* Forward: x, filter -> y. Input gradient: dy, filter -> dx. Filter gradient: x, dy -> dfilter. A gradient has the
 * shape of its tensor. */
enum cudnn_pass { CUDNN_PASS_FORWARD, CUDNN_PASS_DX, CUDNN_PASS_DWEIGHT, CUDNN_PASSES };

/* A pass, and which plans for it will do. Tensors are channels last and lie at multiples of 16 bytes. They are all bf16
 * in bf16, the filter's gradient too, and else fp32. Sums are fp32. */
struct cudnn_task {
    enum cudnn_pass pass;
    enum precision precision; /* not fp64 */
    bool deterministic;       /* only engines that give the same bits in every run */
    int64_t workspace_bytes;  /* the most that a plan may take beside its tensors */
    struct conv2d_params params;
    struct shape x;          /* (N,I,H,W) */
    int64_t output_channels; /* O; the filter is (O,I/G,K,K) with G groups */
};

/* The device that plans are made for: one that is there, by its handle, or one that properties describe
 * (cudnn_properties_create), whose plans cannot run. The other field is NULL. */
struct cudnn_device {
    cudnnHandle_t handle;
    cudnnBackendDescriptor_t properties;
};

struct cudnn_knob {
    int64_t type, value; /* cudnnBackendKnobType_t */
};

enum { CUDNN_MOST_KNOBS = 64 };
struct cudnn_configuration {
    int64_t engine; /* its number among those of all graphs with the same operations */
    int knob_count;
    struct cudnn_knob knobs[CUDNN_MOST_KNOBS];
};

bool cudnn_configuration_same(const struct cudnn_configuration *a, const struct cudnn_configuration *b);

/* Device addresses. A pass does not look at the tensor that it computes, whose place is `result`. */
struct cudnn_operands {
    const void *x, *y, *filter;
    void *result;
};

struct cudnn_graph;
struct cudnn_plan;

/* Returns NULL where cuDNN cannot express the task. Destroy after its plans. */
struct cudnn_graph *cudnn_graph_create(struct cudnn_device device, const struct cudnn_task *task);
void cudnn_graph_destroy(struct cudnn_graph *graph); /* NULL is allowed */

const struct cudnn_task *cudnn_graph_task(const struct cudnn_graph *graph);

/* Makes the list of the configurations that cuDNN proposes, each once, the one first that it expects to be the fastest.
 * Those of its fallback, which are slow and always there, come last. Returns their number, which may be 0. Free *list.
 * Many of them make no plan that will do. */
int cudnn_graph_propose(const struct cudnn_graph *graph, struct cudnn_configuration **list);

/* Returns NULL where cuDNN refuses the configuration, or where the plan is none that the task allows: its engine rounds
 * more than the precision does, is not deterministic or would be compiled first, or it takes too much memory. */
struct cudnn_plan *cudnn_plan_create(const struct cudnn_graph *graph, const struct cudnn_configuration *configuration);
void cudnn_plan_destroy(struct cudnn_plan *plan); /* NULL is allowed */

int64_t cudnn_plan_workspace(const struct cudnn_plan *plan); /* bytes */

/* Puts the pass on the handle's stream. `workspace` has as many bytes as the plan takes. */
cudnnStatus_t cudnn_plan_run(const struct cudnn_plan *plan, const struct cudnn_operands *operands, void *workspace);

/* Returns the properties of a device that need not be there, from cuDNN's text in JSON, or NULL where this cuDNN cannot
 * take it. Destroy with cudnnBackendDestroyDescriptor. */
cudnnBackendDescriptor_t cudnn_properties_create(const char *json);

#endif
