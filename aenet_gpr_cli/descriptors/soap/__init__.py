"""The SOAP power spectrum and its derivatives."""
