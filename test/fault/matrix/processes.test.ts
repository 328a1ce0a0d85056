import { runFaults } from "./fault-case.js";
import { processFaults } from "./process-faults.js";

runFaults(processFaults);
