/*
 * cell.c: the program `moonpipe-cell`: the process of one script of somebody
 * else's, or of one lane. Only the library starts it.
 *
 * It is a program of its own, and not the host that is started anew: a host is
 * any program, and its main() would run before anything of ours. A fork without
 * an exec would begin with all that the host has in its memory, keys too, and
 * with the locks that its other threads held.
 */
#include "bind_cell.h"

#include <string.h>

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "lane") == 0)
        return mp_lane_main(argc, argv);
    return mp_cell_main(argc, argv);
}
