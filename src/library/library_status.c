/* Errors, as the library's users see them. */
#include "library/library_private.h"

#include <assert.h>
#include <string.h>

static_assert((int)TRAINER_RUNTIME == STATUS_RUNTIME && (int)TRAINER_USAGE == STATUS_USAGE &&
                  (int)TRAINER_STOPPED == STATUS_STOPPED && (int)TRAINER_DIVERGED == STATUS_DIVERGED,
              "one list of codes");
static_assert((int)TRAINER_MESSAGE_SIZE == STATUS_MESSAGE_SIZE, "room for every message");

bool library_pass(const struct status *from, struct trainer_status *to)
{
    bool good = from->code == STATUS_OK;
    if (!to) return good;
    to->code = (enum trainer_status_code)from->code;
    to->message[0] = '\0';
    if (!good) memcpy(to->message, from->message, sizeof to->message);
    return good;
}
