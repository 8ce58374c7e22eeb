/* A drawing of a network's graph beside the list of its groups. What a group gives to the next one needs no line. What it
 * gives to later ones goes down a lane, a column of characters, to the last of its readers. */
#ifndef NETWORK_LANES_H
#define NETWORK_LANES_H

#include "nn/network.h"

/* What a lane does beside a row. */
enum {
    LANE_UP = 1,   /* it comes from the row above */
    LANE_DOWN = 2, /* it goes on to the row below */
    LANE_NODE = 4, /* the row gives to it or reads it */
};

/* Row 0 is the network's input, row 1 + g is group g. */
struct network_lanes {
    int rows, lanes;      /* lanes: 0 for a chain */
    unsigned char *cells; /* [rows][lanes]: bits of LANE_ */
};

/* Draws; free with network_lanes_free. */
struct network_lanes network_lanes_draw(const struct network *network);
void network_lanes_free(struct network_lanes *lanes);

/* Returns the row of the group that a layer belongs to, or of the input for NETWORK_INPUT. */
int network_lanes_row(const struct network *network, int layer);

#endif
