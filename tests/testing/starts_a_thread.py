"""A library that cannot be imported where processes are forked."""

import threading
import time

threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
