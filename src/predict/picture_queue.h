/* Pictures on their way through a network, some at a time: all cores decode them, and the network takes one after the
 * other, so that the scores of a picture do not depend on the others. Letters: N pictures, C channels, H height, W
 * width, D classes. */
#ifndef PREDICT_PICTURE_QUEUE_H
#define PREDICT_PICTURE_QUEUE_H

#include "predict/predictor.h"

struct queued_picture {
    char *path; /* owned */
    bool good;  /* the picture was read; else `problem` has the reason */
    struct status problem;
    char *warnings;             /* lines on what is odd about the file; NULL: nothing; owned */
    struct image_header header; /* of the file */
    struct image_border border; /* of the image that the network gets */
    const double *logits;       /* (D) in the queue's memory; NULL where the picture was not read */
};

struct picture_queue {
    struct predictor *predictor; /* borrowed */
    struct image_format format;
    bool invert; /* pixels enter the network as 255 - pixel */
    int64_t count, capacity;
    struct queued_picture *pictures; /* (capacity), the first `count` are in use */
    uint8_t *pixels;                 /* (capacity,C,H,W) */
    double *logits;                  /* (capacity,D) */
};

/* Makes an empty queue for the pictures of a network, which must have passed picture_queue_check. */
struct picture_queue picture_queue_create(struct predictor *predictor, int64_t capacity, bool invert);
void picture_queue_free(struct picture_queue *queue);

/* Refuses (STATUS_RUNTIME) a network that takes images of a shape that pictures cannot have. */
bool picture_queue_check(const struct predictor *predictor, struct status *status);

/* Appends a picture by its path. `problem` is NULL, or a reason not to read it. The queue must not be full. */
void picture_queue_add(struct picture_queue *queue, const char *path, const struct status *problem);

/* Reads all pictures and computes the scores of those that could be read. */
void picture_queue_run(struct picture_queue *queue);

/* Empties the queue. */
void picture_queue_clear(struct picture_queue *queue);

#endif
