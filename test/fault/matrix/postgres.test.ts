import { runFaults } from "./fault-case.js";
import { postgresFaults } from "./postgres-faults.js";

runFaults(postgresFaults);
