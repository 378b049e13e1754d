$TestCookie="0x999"
