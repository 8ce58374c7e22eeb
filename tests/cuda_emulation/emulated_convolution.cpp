/* A convolution's arithmetic, as it is defined, and the elements of cuDNN's tensors. */
#include <vector>

#include "emulated_cudnn.h"
#include "emulation.h"

float emulated_tensor_load(const void *data, const emulated_tensor &tensor, int64_t at)
{
    if (tensor.type == CUDNN_DATA_BFLOAT16) return emulation_bf16_to_float(((const uint16_t *)data)[at]);
    return ((const float *)data)[at];
}

void emulated_tensor_store(void *data, const emulated_tensor &tensor, int64_t at, float value)
{
    if (tensor.type == CUDNN_DATA_BFLOAT16)
        ((uint16_t *)data)[at] = emulation_bf16_from_float(value);
    else
        ((float *)data)[at] = value;
}

/* Calls visit(x's element, w's, y's) for all triples that are multiplied, in one order or the opposite. */
template <typename Visit> static void walk(const emulated_convolution &t, bool reverse, Visit visit)
{
    int64_t group = t.y.c / (t.x.c / t.w.c); /* outputs of a group of channels */
    int64_t steps = t.y.n * t.y.h * t.y.w * t.w.h * t.w.w;
    for (int64_t s = 0; s < steps; s++) {
        int64_t i = reverse ? steps - 1 - s : s;
        int64_t l = i % t.w.w, k = i / t.w.w % t.w.h, pixel = i / t.w.w / t.w.h;
        int64_t q = pixel % t.y.w, p = pixel / t.y.w % t.y.h, n = pixel / t.y.w / t.y.h;
        int64_t h = p * t.stride + k - t.padding, w = q * t.stride + l - t.padding;
        if (h < 0 || h >= t.x.h || w < 0 || w >= t.x.w) continue;
        int64_t x_first = ((n * t.x.h + h) * t.x.w + w) * t.x.c;
        for (int64_t o = 0; o < t.y.c; o++)
            for (int64_t c = 0; c < t.w.c; c++)
                visit(x_first + o / group * t.w.c + c, ((o * t.w.h + k) * t.w.w + l) * t.w.c + c, pixel * t.y.c + o);
    }
}

static size_t count(const emulated_tensor &tensor)
{
    return (size_t)(tensor.n * tensor.c * tensor.h * tensor.w);
}

static std::vector<float> widen(const void *data, const emulated_tensor &tensor, bool tf32)
{
    std::vector<float> values(count(tensor));
    for (size_t i = 0; i < values.size(); i++) {
        values[i] = emulated_tensor_load(data, tensor, (int64_t)i);
        if (tf32 && tensor.type == CUDNN_DATA_FLOAT) values[i] = emulation_to_tf32(values[i]);
    }
    return values;
}

static void put(void *data, const emulated_tensor &tensor, const std::vector<float> &values)
{
    for (size_t i = 0; i < values.size(); i++) emulated_tensor_store(data, tensor, (int64_t)i, values[i]);
}

void emulated_convolve(const emulated_convolution &t, bool tf32, bool reverse)
{
    std::vector<float> xs(count(t.x)), ws(count(t.w)), ys(count(t.y));
    if (t.pass != emulated_pass::dx) xs = widen(t.x_data, t.x, tf32);
    if (t.pass != emulated_pass::dweight) ws = widen(t.w_data, t.w, tf32);
    if (t.pass != emulated_pass::forward) ys = widen(t.y_data, t.y, tf32);
    float *x = xs.data(), *w = ws.data(), *y = ys.data();
    switch (t.pass) {
    case emulated_pass::forward:
        walk(t, reverse, [=](int64_t xi, int64_t wi, int64_t yi) { y[yi] += x[xi] * w[wi]; });
        put(t.y_data, t.y, ys);
        break;
    case emulated_pass::dx:
        walk(t, reverse, [=](int64_t xi, int64_t wi, int64_t yi) { x[xi] += y[yi] * w[wi]; });
        put(t.x_data, t.x, xs);
        break;
    case emulated_pass::dweight:
        walk(t, reverse, [=](int64_t xi, int64_t wi, int64_t yi) { w[wi] += y[yi] * x[xi]; });
        put(t.w_data, t.w, ws);
        break;
    }
}
