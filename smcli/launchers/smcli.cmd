@echo off
if exist "%~dp0python.exe" ("%~dp0python.exe" -m smcli %*) else ("%~dp0..\python.exe" -m smcli %*)
