import { captureFaults } from "./capture-faults.js";
import { runFaults } from "./fault-case.js";
import { sourceFileFaults } from "./source-file-faults.js";

runFaults(sourceFileFaults);
runFaults(captureFaults);
