/* Evaluations, as the library's users see them (trainer/evaluation.h). */
#include "library/library_private.h"

struct trainer_figures library_figures(struct evaluation of)
{
    return (struct trainer_figures){.loss = of.loss, .accuracy = of.accuracy};
}

struct trainer_evaluation library_evaluation(const struct metrics_row *row)
{
    return (struct trainer_evaluation){.step = row->step,
                                       .train = library_figures(row->train),
                                       .validation = library_figures(row->validation),
                                       .test = library_figures(row->test)};
}
