/* Training step by step, without a folder. The program decides when to evaluate, to save and to stop; a session passes
 * over train.eval_freq, train.patience, [checkpoint] and [report].
 *
 * A session is used by one thread at a time. Its threads (backend.threads), its device and its data are its own, so a
 * program may have several. */
#ifndef TRAINER_SESSION_H
#define TRAINER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include <trainer/evaluation.h>
#include <trainer/experiment.h>

#ifdef __cplusplus
extern "C" {
#endif

struct trainer_session;

/* Loads the data, creates the network on its device, and prepares the first step. The experiment is copied. Returns NULL
 * after an error; free with trainer_session_free. */
struct trainer_session *trainer_session_create(const struct trainer_experiment *experiment,
                                               struct trainer_status *status);

/* Goes on from a checkpoint: a file, or the folder of a run, whose last checkpoint it then is. The steps that follow have
 * the bits that they would have had without the stop. An experiment with other values of keys that the steps depend on is
 * refused (TRAINER_USAGE); NULL stands for the checkpoint's own. Otherwise as trainer_session_create. */
struct trainer_session *trainer_session_resume(const struct trainer_experiment *experiment, const char *checkpoint,
                                               struct trainer_status *status);
void trainer_session_free(struct trainer_session *session); /* NULL is allowed */

/* Does `count` training steps, or fewer where the last step of train.max_steps or train.epochs comes first. Returns the
 * number of steps done, 0 after the last. A GPU may still be at work on them. */
int64_t trainer_session_step(struct trainer_session *session, int64_t count);

int64_t trainer_session_steps(const struct trainer_session *session);     /* steps done, those before a resume too */
int64_t trainer_session_max_steps(const struct trainer_session *session); /* the steps of the whole training */

/* Returns the means over the steps since the last evaluation (or resume), as training saw them; NaN where there was no
 * step. Waits for the device. */
struct trainer_figures trainer_session_mean(struct trainer_session *session);

/* Evaluates each set that there is; of the training set the part that train.eval_train says. A loss or weight that is not
 * finite is TRAINER_DIVERGED. */
bool trainer_session_evaluate(struct trainer_session *session, struct trainer_evaluation *evaluation,
                              struct trainer_status *status);

/* Writes a checkpoint, which appears whole or not at all. It has the bytes that a run writes at that step, if the session
 * was evaluated at the same steps. Weights that are not finite are never saved (TRAINER_DIVERGED). */
bool trainer_session_save(struct trainer_session *session, const char *path, struct trainer_status *status);

#ifdef __cplusplus
}
#endif

#endif
