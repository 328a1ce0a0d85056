import { runFaults } from "./fault-case.js";
import { networkFaults } from "./network-faults.js";

runFaults(networkFaults);
