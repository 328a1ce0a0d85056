import { runFaults } from "./fault-case.js";
import { diskFaults } from "./disk-faults.js";

runFaults(diskFaults);
