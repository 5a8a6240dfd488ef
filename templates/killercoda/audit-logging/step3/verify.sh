#!/bin/bash
# Exit 0 only if the step is solved, whichever way it was done; what is missing is in /opt/auditctl-lab/last-check.
lab=${LAB_ROOT:-}/opt/auditctl-lab
auditctl lab check --wants "$lab/wants/step3.yaml" >"$lab/last-check" 2>&1
