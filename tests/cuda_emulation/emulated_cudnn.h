/* The emulated cuDNN: what its files share, and what it was asked, for tests. For a convolution it has the engines below,
 * which it proposes in this order. For windows of 5 pixels it has none. */
#ifndef EMULATED_CUDNN_PARTS_H
#define EMULATED_CUDNN_PARTS_H

#include <stdbool.h>

#include <cudnn.h>

enum emulated_engine {
    ENGINE_TOO_LARGE,      /* wants more workspace than there can be */
    ENGINE_REFUSED,        /* is proposed, but makes no plan */
    ENGINE_FAILS,          /* makes a plan that does not run */
    ENGINE_FAILS_RECORDED, /* does not run while a stream is recorded, and spoils the recording */
    ENGINE_COMPILED,       /* would have to be compiled before it runs */
    ENGINE_TENSOR_CORE,    /* rounds fp32 to tf32; slower than ENGINE_ANY_ORDER */
    ENGINE_ANY_ORDER,      /* adds in an order that changes from run to run */
    ENGINE_ONE_ORDER,      /* has a knob, the size of its tiles, 1 or -1; it is proposed with both */
    EMULATED_ENGINES
};
enum {
    EMULATED_SMALL_TILES = 1,
    EMULATED_LARGE_TILES = -1
}; /* the fastest plan is the one with large tiles, proposed last */

struct emulated_cudnn_calls {
    int heuristics;              /* how often proposals were asked for */
    int plans[EMULATED_ENGINES]; /* that were made */
    int runs[EMULATED_ENGINES];  /* that were started and did not fail, recorded or not */
    int last_tiles;              /* of ENGINE_ONE_ORDER's last run */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Counts since the program's start; tests may set them to 0. */
extern struct emulated_cudnn_calls emulated_cudnn_calls;
/* Set by a test: ENGINE_FAILS takes the device with it. */
extern bool emulated_cudnn_loses_device;
/* What cudnnGetVersion says. */
extern size_t emulated_cudnn_version;

#ifdef __cplusplus
}

#include <stdint.h>

struct emulated_cudnn {
    cudaStream_t stream;
};

struct emulated_tensor {
    cudnnDataType_t type;
    cudnnTensorFormat_t format;
    int64_t n, c, h, w;
};

float emulated_tensor_load(const void *data, const emulated_tensor &tensor, int64_t at);
void emulated_tensor_store(void *data, const emulated_tensor &tensor, int64_t at, float value);

enum class emulated_pass { forward, dx, dweight };

/* The three tensors of any pass, channels last, and their addresses. */
struct emulated_convolution {
    emulated_pass pass;
    emulated_tensor x, w, y;
    int64_t padding, stride;
    void *x_data, *w_data, *y_data;
};

/* Computes the pass. `tf32` rounds operands of fp32, `reverse` adds from the end. */
void emulated_convolve(const emulated_convolution &t, bool tf32, bool reverse);
#endif

#endif
