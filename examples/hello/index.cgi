#!/bin/sh
# The page of the demo's web service: which replica answered.
printf 'Content-Type: text/plain\r\n\r\n'
echo "${GREETING:-hello} from $(hostname)"
