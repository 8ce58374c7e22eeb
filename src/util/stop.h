/* The wish to stop: the first SIGINT, SIGTERM or SIGHUP is noted, for whoever asks; the second ends the process at
 * once, as it would have without any of this. A signal that the process was started to ignore (nohup) stays ignored. */
#ifndef UTIL_STOP_H
#define UTIL_STOP_H

#include <stdbool.h>

void stop_install(void);   /* from now on, and with no wish yet */
void stop_uninstall(void); /* the signals do again what they did before; the wish stays known */

bool stop_wanted(void);
const char *stop_signal_name(void); /* "SIGTERM"; NULL where nobody wants to stop */

#endif
