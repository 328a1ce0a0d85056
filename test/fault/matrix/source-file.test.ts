import { runFaults } from "./fault-case.js";
import { sourceFileFaults } from "./source-file-faults.js";

runFaults(sourceFileFaults);
