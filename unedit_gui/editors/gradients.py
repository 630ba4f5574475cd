"""Attention, and the loss over the vocabulary, with gradients of their own: the usual numbers, with less kept.

An edit runs few tokens behind long prefixes, again and again with a gradient. Written plainly, attention first copies
the keys and values that heads share for each of these heads, and adds the copies' gradients up again; and the loss
holds the logits of all tokens in five forms at once.
"""

import torch
import torch.nn.functional as F
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

NAME = "unedit"  # by which a configuration asks for `attention`
ROWS = 16  # tokens whose logits are worked on at once


def attention(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **_more):
    """softmax(q k^T scaling + mask) v as matrix products, for transformers' models.

    query: (rows, heads, tokens, d); key, value: (rows, shared heads, all tokens, d). Returns (rows, tokens, heads, d).
    """
    rows, heads, tokens, d = query.shape
    together = query.reshape(rows, key.shape[1], -1, d)  # the heads that share a key, one behind the other
    out = _Attention.apply(together, key, value, attention_mask, d**-0.5 if scaling is None else scaling)
    return out.reshape(rows, heads, tokens, d).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, eager_mask)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v, mask, scaling):
        if torch.is_autocast_enabled(q.device.type):
            q, k, v = (x.to(torch.get_autocast_dtype(q.device.type)) for x in (q, k, v))
        scores = torch.matmul(q, k.transpose(2, 3)).float().mul_(scaling)
        if mask is not None:
            rows, shared, _, columns = scores.shape
            scores.view(rows, shared, -1, mask.shape[2], columns).add_(mask[:, :, None])
        share = F.softmax(scores, dim=-1).to(q.dtype)
        ctx.save_for_backward(q, k, v, share)
        ctx.scaling = scaling
        return torch.matmul(share, v)

    @staticmethod
    def backward(ctx, grad):
        q, k, v, share = ctx.saved_tensors
        grad = grad.to(v.dtype)
        by_scores = torch.matmul(grad, v.transpose(2, 3)).float()
        by_scores = torch._softmax_backward_data(by_scores, share.float(), -1, torch.float32)
        by_scores = by_scores.mul_(ctx.scaling).to(q.dtype)
        by_k = torch.matmul(by_scores.transpose(2, 3), q) if ctx.needs_input_grad[1] else None
        by_v = torch.matmul(share.transpose(2, 3), grad) if ctx.needs_input_grad[2] else None
        return torch.matmul(by_scores, k), by_k, by_v, None, None


def nll(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-log softmax(logits)[label] of each token, (tokens,) in float32; logits: (tokens, vocabulary)."""
    return _Nll.apply(logits, labels)


class _Nll(torch.autograd.Function):
    """A few tokens at a time, in float32, as often as they are wanted: only the logits are kept."""

    @staticmethod
    def forward(ctx, logits, labels):
        ctx.save_for_backward(logits, labels)
        found = torch.empty(len(logits), device=logits.device)
        for some in _slices(logits):
            found[some] = F.cross_entropy(logits[some].float(), labels[some], reduction="none")
        return found

    @staticmethod
    def backward(ctx, grad):
        logits, labels = ctx.saved_tensors
        by_logits = torch.empty_like(logits)
        for some in _slices(logits):
            p = logits[some].float().softmax(-1)
            p[torch.arange(len(p), device=p.device), labels[some]] -= 1
            by_logits[some] = p.mul_(grad[some, None])
        return by_logits, None


def divergence(before: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    """KL(softmax(before) || softmax(now)) of each token, (tokens,) in float32, with a gradient by `now` alone."""
    return _Divergence.apply(before.to(now.device), now)


class _Divergence(torch.autograd.Function):
    """As above."""

    @staticmethod
    def forward(ctx, before, now):
        ctx.save_for_backward(before, now)
        found = torch.empty(len(now), device=now.device)
        for some in _slices(now):
            log_p, log_q = (x[some].float().log_softmax(-1) for x in (before, now))
            found[some] = F.kl_div(log_q, log_p, log_target=True, reduction="none").sum(-1)
        return found

    @staticmethod
    def backward(ctx, grad):
        before, now = ctx.saved_tensors
        by_now = torch.empty_like(now)
        for some in _slices(now):
            p, q = (x[some].float().softmax(-1) for x in (before, now))
            by_now[some] = q.sub_(p).mul_(grad[some, None])
        return None, by_now


def _slices(tokens: torch.Tensor) -> list[slice]:
    return [slice(start, start + ROWS) for start in range(0, len(tokens), ROWS)]
