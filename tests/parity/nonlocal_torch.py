"""The non-local block in torch, written from Wang et al. 2018 (arXiv:1711.07971) and independent of ours."""

import torch


class NonLocal(torch.nn.Module):
    """Equation 1 of the paper in its residual form (equation 6), with embedded pairs of positions.

    Args:
        channels: Of the input; the embeddings have half as many.
        instantiation: `softmax` (section 3.2, "Embedded Gaussian"; the scores scaled by 1 / sqrt(channels / 2) as in
            PySlowFast) or `dot_product`.
        pool: Window of the max pooling that thins the positions j (section 3.3, "subsampling").
    """

    def __init__(self, channels: int, instantiation: str, pool: tuple[int, int, int]) -> None:
        super().__init__()
        inner = channels // 2
        self.instantiation, self.pool = instantiation, pool
        self.conv_theta, self.conv_phi, self.conv_g = (torch.nn.Conv3d(channels, inner, 1) for _ in range(3))
        self.conv_out = torch.nn.Conv3d(inner, channels, 1)
        self.bn = torch.nn.BatchNorm3d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        thinned = torch.nn.functional.max_pool3d(x, self.pool, self.pool)
        theta = self.conv_theta(x).flatten(2)
        phi, g = (conv(thinned).flatten(2) for conv in (self.conv_phi, self.conv_g))
        pairs = torch.einsum("nci,ncj->nij", theta, phi)
        if self.instantiation == "softmax":
            weights = torch.softmax(pairs / theta.shape[1] ** 0.5, -1)
        else:
            weights = pairs / phi.shape[2]
        y = torch.einsum("nij,ncj->nci", weights, g).unflatten(2, x.shape[2:])
        return x + self.bn(self.conv_out(y))
