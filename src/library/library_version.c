/* The version of the library (trainer/version.h). */
#include <trainer/version.h>

const char *trainer_version_text(void)
{
    return TRAINER_VERSION_TEXT;
}

int trainer_version_number(void)
{
    return TRAINER_VERSION_NUMBER;
}
