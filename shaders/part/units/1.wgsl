// Units that an invocation holds in registers at once.
const UNITS = 1u;
