#!/usr/bin/env node
// Here before the build, so that npm links the program when it installs a fresh clone.
import "../dist/program/main.js";
