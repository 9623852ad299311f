/* libbcc includes it; nothing of it is used. */
#pragma once
