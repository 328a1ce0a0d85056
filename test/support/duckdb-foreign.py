"""An application on another version of DuckDB: keeps its file open and runs each line of SQL that it is given."""
import sys

import duckdb

connection = duckdb.connect()
print(duckdb.__version__, flush=True)
for line in sys.stdin:
    try:
        connection.execute(line)
        print("done", flush=True)
    except Exception as error:
        print("error " + str(error).replace("\n", " "), flush=True)
