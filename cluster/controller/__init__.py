"""The controller: observe -> plan -> apply, in a loop. Only the controller starts and stops workers."""
