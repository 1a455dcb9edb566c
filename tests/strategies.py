"""Hypothesis strategies for strings that differ slightly from a valid token."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

from hypothesis import strategies as st

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# Characters that a lenient decoder might skip or treat as one of ALPHABET.
ADVERSARIAL_CHARACTERS = st.sampled_from(ALPHABET + "=+/. \n\t\0,;~é\u200b\uff21\ud800") | st.characters()


@st.composite
def altered(draw, text):
    """Draw `text` with one character changed, removed, inserted or swapped, or cut off or repeated in part."""
    index = draw(st.integers(0, len(text) - 1))
    head, char, tail = text[:index], text[index], text[index + 1 :]
    return draw(
        st.one_of(
            ADVERSARIAL_CHARACTERS.filter(lambda other: other != char).map(lambda other: head + other + tail),
            ADVERSARIAL_CHARACTERS.map(lambda other: head + other + char + tail),
            st.just(head + tail),
            st.just(head + tail[:1] + char + tail[1:]),
            st.just(head + char.swapcase() + tail),
            st.just(head),
            st.just(text + tail),
        ).filter(lambda other: other != text)
    )


@st.composite
def altered_bytes(draw, text):
    """Draw a base64url string that decodes to the bytes of `text` with one bit or one byte changed."""
    content = bytearray(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    index = draw(st.integers(0, len(content) - 1))
    content[index] ^= draw(st.sampled_from([1 << bit for bit in range(8)]) | st.integers(1, 255))
    return urlsafe_b64encode(content).rstrip(b"=").decode()
