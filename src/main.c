/* The program's main function. src/cli does the work. */
#include "cli/cli.h"
#include "util/streams.h"

int main(int argc, char **argv)
{
    streams_open_missing();
    return cli_run(argc, argv);
}
