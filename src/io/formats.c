/* The table of formats (formats.h). */
#include "io/formats.h"

#include <stddef.h>

#ifdef TRAINER_PNG
#define PNG_BUILT true
#else
#define PNG_BUILT false
#endif
#ifdef TRAINER_JPEG
#define JPEG_BUILT true
#else
#define JPEG_BUILT false
#endif
#ifdef TRAINER_EXIF
#define EXIF_BUILT true
#else
#define EXIF_BUILT false
#endif
#ifdef TRAINER_ZIP
#define ZIP_BUILT true
#else
#define ZIP_BUILT false
#endif
#ifdef TRAINER_TENSORBOARD
#define TENSORBOARD_BUILT true
#else
#define TENSORBOARD_BUILT false
#endif
#ifdef TRAINER_ONNX
#define ONNX_BUILT true
#else
#define ONNX_BUILT false
#endif

const struct io_format io_formats[] = {
    {"PNG", "pictures, read and written", "libpng-dev", PNG_BUILT},
    {"JPEG", "pictures, read", "libjpeg-dev", JPEG_BUILT},
    {"EXIF", "photos turned upright", "libexif-dev", EXIF_BUILT},
    {"NPZ", "arrays of NumPy, read and written", "libzip-dev", ZIP_BUILT},
    {"TensorBoard", "event files, written", "libprotobuf-c-dev protobuf-c-compiler", TENSORBOARD_BUILT},
    {"ONNX", "networks, written", "libprotobuf-c-dev protobuf-c-compiler", ONNX_BUILT},
    {NULL, NULL, NULL, false},
};
