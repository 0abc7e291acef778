"""The SOAP power spectrum and its derivatives."""

__all__ = ["soap_check", "soap_descriptor", "soap_environments"]
