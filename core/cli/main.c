#include "cli.h"

int main(int argc, char **argv)
{
    return sluice_cli_main(argc, argv);
}
