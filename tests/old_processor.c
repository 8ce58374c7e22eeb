/* Makes a program take its processor for one without vector instructions beyond the x86-64 of 2003, as on a machine that is
 * older than the others. The compiler's runtime library keeps what __builtin_cpu_supports answers from. */
struct processor {
    unsigned vendor, type, subtype, features[1];
};

extern struct processor
    __cpu_model; /* of libgcc and compiler-rt, filled in before constructors without a priority run */

static void __attribute__((constructor)) forget_features(void)
{
    __cpu_model.features[0] = 0;
}
