"""The controller: observe -> plan -> apply, in a loop. It is the only one that starts and stops workers."""
